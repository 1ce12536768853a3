"""transformers' models as rivals: they run as by hand, a perfect one scores 100, and what can't be scored is said in one line."""

import json
import shutil
from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import transformers
from PIL import Image
from pycocotools import mask as coco_mask
from torch import Tensor

from eomt.mask_classifier import EomtForUniversalSegmentationOutput
from eomt.train_scripts.data.evaluation_stream import evaluation_stream
from eomt.train_scripts.data.samples import Sample
from eomt.train_scripts.data.task_samples import panoptic_sample
from eomt.train_scripts.evaluation.inference_options import ScoreOptions
from eomt.train_scripts.evaluation.rivals import MaskFormerRival
from eomt.train_scripts.evaluation.scoring import load_segmenter, score
from eomt.train_scripts.evaluation.tasks import TASKS, task_of
from eomt.train_scripts.score import main

MODELS = {
    "mask2former": transformers.Mask2FormerForUniversalSegmentation,
    "maskformer": transformers.MaskFormerForInstanceSegmentation,
    "oneformer": transformers.OneFormerForUniversalSegmentation,
    "eomt": transformers.EomtForUniversalSegmentation,
    "eomt_dinov3": transformers.EomtDinov3ForUniversalSegmentation,
}
STUFF = {0, 2}
CELL = 48
SURE = 20.0  # a logit


def options(checkpoint, data, task: str, **more) -> dict:
    stock = {"implementation": "transformers"} if checkpoint.name.startswith("eomt") else {}
    return dict(checkpoint=str(checkpoint), data=str(data), split="val", task=task, bf16=False, **stock, **more)


def results(chosen: dict, labels) -> list:
    task = task_of(chosen["task"])
    segmenter = load_segmenter(ScoreOptions(**chosen), task, labels, torch.device("cpu"), torch.float32)
    stream = evaluation_stream(chosen["data"], "val", segmenter.processor, transform=task.sample)
    return list(segmenter.predictions(stream, show_progress=False))


def processor_of(kind: str, checkpoint):
    if kind == "oneformer":
        return transformers.OneFormerProcessor.from_pretrained(checkpoint)
    if kind.startswith("eomt"):
        return transformers.EomtImageProcessor.from_pretrained(checkpoint)
    return transformers.AutoImageProcessor.from_pretrained(checkpoint)


def masks_of(segments: dict) -> list[tuple[int, float, Tensor]]:
    """(class, score, bool mask) of each segment."""
    maps, infos = segments["segmentation"], segments["segments_info"]
    masks = maps.bool() if maps.ndim == 3 else [maps == info["id"] for info in infos]
    return [(info["label_id"], info["score"], mask) for info, mask in zip(infos, masks, strict=True) if mask.any()]


def by_hand(kind: str, checkpoint, task: str, image: Tensor, threshold: float):
    """As a user calls it, with a PIL image."""
    photo = Image.fromarray(image.permute(1, 2, 0).numpy())
    processor, model = processor_of(kind, checkpoint), MODELS[kind].from_pretrained(checkpoint).eval()
    inputs = processor(photo, **({"task_inputs": [task]} if kind == "oneformer" else {}), return_tensors="pt")
    with torch.no_grad():
        outputs = model(**inputs)
    sizes, chosen = [photo.size[::-1]], {"threshold": threshold}
    if task == "semantic":
        return processor.post_process_semantic_segmentation(outputs, target_sizes=sizes)[0]
    if task == "panoptic":
        chosen |= {} if kind.startswith("eomt") else {"label_ids_to_fuse": set()}
        return masks_of(processor.post_process_panoptic_segmentation(outputs, target_sizes=sizes, **chosen)[0])
    chosen |= {"return_binary_maps": True} if kind in ("mask2former", "maskformer") else {}
    return masks_of(processor.post_process_instance_segmentation(outputs, target_sizes=sizes, **chosen)[0])


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("kind", MODELS)
def test_it_runs_as_by_hand(rival_checkpoint, grid_data, grid_labels, kind, task):
    checkpoint, threshold, seen = rival_checkpoint(kind, task), 0.2, 0
    given = {} if task == "semantic" else {"threshold": threshold}
    for sample, result in results(options(checkpoint, grid_data, task, **given), grid_labels):
        expected = by_hand(kind, checkpoint, task, sample.image, threshold)
        seen += len(expected)
        if task == "semantic":
            assert result.dtype == torch.int64 and torch.equal(result, expected)
        elif task == "panoptic":
            joined = {}
            for number, (label, _, mask) in enumerate(expected):
                joined.setdefault(label if label in STUFF else (label, number), torch.zeros_like(mask)).logical_or_(mask)
            made = [mask for _, _, mask in masks_of(result)]
            assert len(made) == len(joined) and all(map(torch.equal, made, joined.values()))
            assert (result["segmentation"] == -1).sum() + sum(mask.sum() for mask in made) == result["segmentation"].numel()
        else:
            if kind == "oneformer":  # whose classes are those of all tasks
                expected = [({1: 0, 3: 1}[label], score, mask) for label, score, mask in expected if label not in STUFF]
            expected = sorted(expected, key=lambda instance: -instance[1])
            assert result["labels"].tolist() == [label for label, _, _ in expected]
            assert result["scores"].tolist() == pytest.approx([score for _, score, _ in expected])
            for rle, (_, _, mask) in zip(result["rles"], expected, strict=True):
                assert torch.equal(torch.from_numpy(coco_mask.decode(rle)).bool(), mask)
    assert seen


def perfect_queries(sample: Sample, stuff: set[int], void_class: int | None) -> tuple[Tensor, list[int]]:
    """Masks of cells (Q, h, w) and their classes: the true segments, crowds too. Stuff is in two queries each."""
    cells = sample.id_map[CELL // 2 :: CELL, CELL // 2 :: CELL]
    first, second = [], []
    for segment_id, label in zip(sample.segment_ids.tolist(), sample.class_labels.tolist(), strict=True):
        mask = cells == segment_id
        if label not in stuff:
            first.append((mask, label))
            continue
        half = mask & (mask.cumsum(1 if mask.shape[1] > mask.shape[0] else 0) <= mask.sum() // 8)  # masks are four cells wide
        first.append((half, label))
        second.append((mask & ~half, label))
    queries = first[:2] + second + first[2:]
    if void_class is not None:
        queries.append((cells == 0, void_class))
    return torch.stack([mask for mask, _ in queries]), [label for _, label in queries]


def perfect_outputs(samples: Iterator[Sample], num_classes: int, stuff: set[int], void_class: int | None):
    """A `forward` that answers with the truth of the next sample, whatever the model's input."""

    def forward(self, pixel_values: Tensor, patch_offsets=None, **kwargs) -> EomtForUniversalSegmentationOutput:
        sample = next(samples)
        if not len(sample.segment_ids):  # nothing is found
            masks = torch.full((1, 4, 4), False)
            labels = [num_classes]
        else:
            masks, labels = perfect_queries(sample, stuff, void_class)
        if patch_offsets:
            masks = torch.stack(masks.split(4, 1 if masks.shape[1] > masks.shape[2] else 2))
        elif pixel_values.shape[2] == pixel_values.shape[3] and masks.shape[1] != masks.shape[2]:  # padded to a square
            padding = (0, 16 - masks.shape[2], 0, 16 - masks.shape[1])
            masks = F.pad(masks[None].float(), padding, mode="replicate").bool()
        else:
            masks = masks[None]
        logits = torch.zeros(len(masks), len(labels), num_classes + 1)
        logits[:, range(len(labels)), labels] = SURE
        return EomtForUniversalSegmentationOutput(
            masks_queries_logits=torch.where(masks, SURE, -SURE), class_queries_logits=logits, patch_offsets=patch_offsets
        )

    return forward


@pytest.mark.parametrize(("task", "main_score"), [("semantic", "miou"), ("instance", "ap"), ("panoptic", "pq")])
@pytest.mark.parametrize("kind", MODELS)
def test_a_perfect_rival_scores_100(rival_checkpoint, grid_data, grid_labels, monkeypatch, kind, task, main_score):
    """Ids, void, crowds, sizes and stuff of several queries come through whole."""
    things_alone = task == "instance" and kind != "oneformer"
    transform = task_of(task).sample if things_alone or task == "semantic" else panoptic_sample
    samples = iter([one["sample"] for one in evaluation_stream(grid_data, "val", lambda **_: {}, transform=transform)])
    forward = perfect_outputs(
        samples, 2 if things_alone else 4, set() if things_alone else STUFF, 2 if kind == "oneformer" else None
    )
    monkeypatch.setattr(MODELS[kind], "forward", forward)
    scores, labels = score(**options(rival_checkpoint(kind, task), grid_data, task))
    assert scores[main_score] == pytest.approx(100, abs=1e-6) and scores["per_class"].count(None) == 0
    assert len(labels) == (2 if task == "instance" else 4) and scores["parameters"] > 1000


def test_the_command_shows_scores_size_and_times_and_no_next_command(rival_checkpoint, grid_data, tmp_path, capsys):
    for implementation, kind in (("transformers", "mask2former"), ("transformers", "eomt"), ("eomt", "eomt")):
        words = f"--checkpoint {rival_checkpoint(kind, 'panoptic')} --data {grid_data} --task panoptic --latency 2"
        words += f" --output {tmp_path}/scores.json" + (f" --implementation {implementation}" if kind == "eomt" else "")
        main(words.split())
        shown, stored = capsys.readouterr().out, json.loads((tmp_path / "scores.json").read_text())
        assert all(word in shown for word in ("PQ", "road", "million parameters", "forward ms", "images per second"))
        assert ("next:" in shown) == (implementation == "eomt")
        assert stored["implementation"] == implementation and stored["latency"]["images"] == 2
        assert stored["threshold"] == (None if implementation == "transformers" else 0.8)  # None is the default of their code


def test_all_instances_count_where_masks_may_overlap(rival_checkpoint, grid_data, grid_labels):
    counts = {}
    for given in ({}, {"threshold": 0.5}):
        made = results(options(rival_checkpoint("mask2former", "instance"), grid_data, "instance", **given), grid_labels)
        counts[len(given)] = [len(result["rles"]) for _, result in made]
        assert all(score >= 0.5 or not given for _, result in made for score in result["scores"].tolist())
    assert sum(counts[0]) > sum(counts[1])


def test_a_rival_runs_under_autocast(rival_checkpoint, grid_data):
    for kind in MODELS:
        chosen = options(rival_checkpoint(kind, "panoptic"), grid_data, "panoptic") | {"bf16": True}
        assert "pq" in score(**chosen)[0]


def test_what_cannot_be_scored_is_said(rival_checkpoint, grid_data, checkpoints, tmp_path):
    transformers.DetrConfig().save_pretrained(tmp_path / "detr")
    with pytest.raises(
        ValueError, match="is a detr model; this package runs EoMT, and transformers eomt, eomt_dinov3, mask2former"
    ):
        score(**options(tmp_path / "detr", grid_data, "panoptic"))
    mask2former = rival_checkpoint("mask2former", "panoptic")
    for wrong in ({"batch_size": 2}, {"masked": True}, {"attn_implementation": "eager"}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))}=.* is for this package's models, but transformers runs"):
            score(**options(mask2former, grid_data, "panoptic", **wrong))
    for task, wrong in (("instance", {"tiles": 2.0}), ("semantic", {"mirror": True}), ("semantic", {"scales": [1.0, 1.5]})):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))}=.* is for this package's models, but transformers runs"):
            score(**options(mask2former, grid_data, task, **wrong))
    with pytest.raises(ValueError, match="4 classes, the data 2 for this task: it lacks .* and has .*'road'"):
        score(**options(mask2former, grid_data, "instance"))
    with pytest.raises(ValueError, match="implementation='ours' is unknown; choose one of eomt, transformers"):
        score(**options(mask2former, grid_data, "instance") | {"implementation": "ours"})
    with pytest.raises(ValueError, match="latency=-1 must be a number of images"):
        score(**options(mask2former, grid_data, "instance", latency=-1))


@pytest.mark.parametrize(
    ("kind", "lost", "message"),
    [
        ("mask2former", ["preprocessor_config.json"], "has no processor that transformers can load"),
        ("oneformer", ["processor_config.json"], "has no processor that transformers can load"),
        ("oneformer", ["tokenizer.json", "vocab.json", "merges.txt"], "has a tokenizer that doesn't tell tasks apart"),
    ],
)
def test_a_checkpoint_without_its_processor_is_named(rival_checkpoint, grid_data, tmp_path, kind, lost, message):
    folder = tmp_path / kind
    shutil.copytree(rival_checkpoint(kind, "panoptic"), folder)
    for name in lost:
        (folder / name).unlink()
    with pytest.raises(ValueError, match=message):
        score(**options(folder, grid_data, "panoptic"))


def test_an_incomplete_rival_is_not_scored_with_random_weights(rival_checkpoint, grid_data, tmp_path):
    checkpoint = rival_checkpoint("mask2former", "panoptic")
    model = transformers.AutoModelForUniversalSegmentation.from_pretrained(checkpoint)
    kept = {name: value for name, value in model.state_dict().items() if not name.startswith("class_predictor")}
    model.save_pretrained(tmp_path, state_dict=kept)
    with pytest.raises(ValueError, match=r"lacks the weights \['class_predictor.bias', 'class_predictor.weight'\]"):
        score(**options(tmp_path, grid_data, "panoptic"))


@pytest.mark.parametrize("crowded", [False, True])
def test_of_more_than_100_instances_the_best_count_and_all_where_the_task_asks(crowded):
    rival = MaskFormerRival.__new__(MaskFormerRival)  # which has no model here
    rival.index_in_task, rival._crowded = {0: 0}, crowded
    infos = [{"id": i, "label_id": 0, "score": score} for i, score in enumerate(np.linspace(0.01, 0.9, 140).tolist())]
    result = rival._instances({"segmentation": torch.ones(140, 4, 4), "segments_info": infos})
    assert len(result["rles"]) == 100 and result["scores"][0] == pytest.approx(0.9) and ("all" in result) == crowded
    if crowded:
        every = result["all"]["scores"]
        assert torch.equal(every[:100], result["scores"]) and every.min() >= 0.05 and len(every) == 133
