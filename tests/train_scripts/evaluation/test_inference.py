"""Predictions of every task in the form its metric takes, whatever the batch, and in bounded memory."""

import pytest
import torch

from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.evaluation_stream import collate_evaluation
from eomt.train_scripts.data.samples import Sample
from eomt.train_scripts.evaluation.inference import WINDOWS_A_PASS, forward_views, images_of, predictions, score_predictions
from eomt.train_scripts.evaluation.tasks import TASKS, task_of

LABELS = Labels([f"class {i}" for i in range(5)], [True, True, True, False, False])
SIZES = [(64, 150), (64, 64), (130, 70)]


class Stream(list):
    """Of examples, which doesn't know how many of them are this process's."""

    share = None


def examples(task: str) -> Stream:
    """What an evaluation stream yields, of images that the semantic processor cuts into 3, 1 and 2 windows."""
    generator, processor, made = torch.Generator().manual_seed(0), task_of(task).processor(64, LABELS), Stream()
    for number, size in enumerate(SIZES):
        image = torch.randint(0, 255, (3, *size), dtype=torch.uint8, generator=generator)
        ids = torch.ones(size, dtype=torch.int32)
        sample = Sample(str(number), image, ids, torch.tensor([1]), torch.tensor([number]), torch.tensor([False]))
        made.append({**processor(images=[image], return_tensors="pt"), "sample": sample})
    return made


def run(model, task: str, batch_size: int, threshold: float = 0.2) -> list:
    processor = task_of(task).processor(64, LABELS)
    return list(predictions(model, processor, examples(task), task_of(task), batch_size, threshold, show_progress=False))


@pytest.mark.parametrize("task", TASKS)
def test_a_batch_gives_what_single_images_give_and_metrics_take_it(tiny_model, task):
    model = tiny_model().train()
    single, batched = run(model, task, 1), run(model, task, 3)
    assert model.training and [sample.image_id for sample, _ in batched] == ["0", "1", "2"]
    for (sample, one), (_, other) in zip(single, batched, strict=True):
        if task == "semantic":
            assert one.shape == sample.id_map.shape and (one == other).float().mean() > 0.999
        elif task == "instance":
            assert 0 < len(one["rles"]) == len(one["scores"]) == len(one["labels"]) <= 40  # 8 queries x 5 classes
            assert one["rles"][0]["size"] == list(sample.id_map.shape) and isinstance(one["rles"][0]["counts"], bytes)
            assert torch.allclose(one["scores"], other["scores"], atol=1e-5)
        else:
            assert one["segmentation"].shape == sample.id_map.shape
            assert [s["label_id"] for s in one["segments_info"]] == [s["label_id"] for s in other["segments_info"]]
    scores = [score_predictions(iter(results), task_of(task).metric(LABELS)) for results in (single, batched)]
    assert scores[0].keys() == scores[1].keys() and len(scores[0]["per_class"]) == 5


def test_the_windows_of_a_long_image_have_several_passes_with_the_same_outputs(tiny_model):
    model, processor, seen = tiny_model(), task_of("semantic").processor(64, LABELS), []
    model.register_forward_hook(lambda module, inputs, outputs: seen.append(len(outputs.class_queries_logits)))
    windows = torch.randn(WINDOWS_A_PASS + 3, 3, 64, 64)
    with torch.no_grad():
        split, whole = (forward_views(model, processor, windows, 1, split_windows=split) for split in (True, False))
        assert seen == [WINDOWS_A_PASS, 3, WINDOWS_A_PASS + 3]
        forward_views(model, processor, windows, 2)
        forward_views(model, processor, windows[:WINDOWS_A_PASS], 1)
    assert seen[3:] == [WINDOWS_A_PASS + 3, WINDOWS_A_PASS]
    for name in ("masks_queries_logits", "class_queries_logits"):
        torch.testing.assert_close(split[name], whole[name], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_layouts_go_along_with_each_images_outputs(tiny_model):
    batch = collate_evaluation(examples("semantic"))
    images = list(images_of(tiny_model()(pixel_values=batch["pixel_values"]), batch))
    rows = [[64, 150, 64, 64]] * 3, [[64, 64, 64, 64]], [[118, 64, 64, 64]] * 2
    assert [one.image_layouts.tolist() for one in images] == list(rows)


def test_passes_for_nothing(tiny_model):
    """Where processes share a model's weights, one with fewer images makes as many forward passes as the others."""
    model, processor = tiny_model(), task_of("panoptic").processor(64, LABELS)
    seen = []
    model.register_forward_hook(lambda module, inputs, outputs: seen.append(len(outputs.class_queries_logits)))
    results = list(predictions(model, processor, examples("panoptic"), task_of("panoptic"), 2, show_progress=False, passes=4))
    assert len(results) == 3 and seen == [2, 1, 1, 1]
    assert not list(predictions(model, processor, Stream(), task_of("panoptic"), 2, show_progress=False, passes=1))
    assert seen[4:] == [1]
