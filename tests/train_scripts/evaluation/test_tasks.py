"""One dataset for three tasks: classes, truth with crowds, processors, and what both streams give."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from torch.utils.data import DataLoader

from eomt.mask_classifier import EomtForUniversalSegmentationOutput
from eomt.train_scripts.data.dataset_folder import Labels, write_labels
from eomt.train_scripts.data.evaluation_stream import collate_evaluation, evaluation_stream
from eomt.train_scripts.data.shard_writer import write_split
from eomt.train_scripts.data.training_stream import training_stream
from eomt.train_scripts.evaluation.tasks import TASKS, CrowdedInstanceTask, task_of

LABELS = Labels(["sky", "cat", "road", "dog"], [False, True, False, True])


def test_classes_of_the_tasks():
    assert task_of("semantic").labels(LABELS) == task_of("panoptic").labels(LABELS) == LABELS
    assert task_of("instance").labels(LABELS) == Labels(["cat", "dog"], [True, True])
    with pytest.raises(ValueError, match="task='depth' is unknown; choose one of semantic, instance, panoptic"):
        task_of("depth").labels(LABELS)
    with pytest.raises(ValueError, match="needs things"):
        task_of("instance").labels(Labels(["sky"], [False]))


@pytest.mark.parametrize("labels", [LABELS, Labels(["cat"], [True])])
def test_every_task_has_scores_that_may_choose_a_model(labels):
    for task in TASKS.values():
        assert task.main_score in task.scores(labels) and "per_class" not in task.scores(labels)
    assert task_of("semantic").scores(labels) == ["miou", "pixel_accuracy"]
    assert "ap_all" in CrowdedInstanceTask().scores(labels)


def rle(rows: slice, columns: slice) -> dict:
    mask = np.zeros((4, 6), np.uint8, order="F")
    mask[rows, columns] = 1
    return coco_mask.encode(mask)


def test_what_of_a_result_is_drawn():
    classes = torch.tensor([[2, 2, 2, 0, 0, -1]] * 4)
    semantic = task_of("semantic").drawn(classes, (4, 6))
    assert semantic.classes == {0: 0, 2: 2} and torch.equal(semantic.id_map, classes)
    segments = {"segmentation": torch.tensor([[0, 0, 1, 1, -1, -1]] * 4), "segments_info": [{"id": 0, "label_id": 2}]}
    assert task_of("panoptic").drawn(segments, (4, 6)).classes == {0: 2}
    masks = [rle(np.s_[:2], np.s_[:]), rle(np.s_[1:], np.s_[:3]), rle(np.s_[:], np.s_[5:])]
    result = {"rles": masks, "scores": torch.tensor([0.9, 0.6, 0.3]), "labels": torch.tensor([1, 0, 0])}
    instances = task_of("instance").drawn(result, (4, 6))
    assert instances.classes == {0: 1, 1: 0}  # the third scores too little
    assert instances.id_map.tolist() == [[0] * 6] * 2 + [[1] * 3 + [-1] * 3] * 2  # the best is on top


def test_processors_and_metrics():
    semantic, panoptic = task_of("semantic").processor(64, LABELS), task_of("panoptic").processor(64, LABELS)
    image = np.zeros((64, 150, 3), np.uint8)
    assert semantic(image, return_tensors="pt").pixel_values.shape == (3, 3, 64, 64)
    assert panoptic(image, return_tensors="pt").pixel_values.shape == (1, 3, 64, 64)
    assert panoptic.stuff_classes == [0, 2] and semantic.stuff_classes == [0, 1, 2, 3]
    assert task_of("instance").processor(64, task_of("instance").labels(LABELS)).stuff_classes == []
    for name, task in TASKS.items():
        assert task.name == name and task.main_score in task.metric(task.labels(LABELS)).compute()
    with pytest.raises(ValueError, match="boundary=True is for task='instance'"):
        task_of("semantic").metric(LABELS, boundary=True)


def encoded(pixels: np.ndarray) -> dict:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return {"bytes": stream.getvalue(), "path": None}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two images, one of which is three times as long as high."""
    folder = tmp_path_factory.mktemp("tasks")
    rows = []
    for number, shape in enumerate([(32, 96), (32, 40)]):
        ids = np.zeros(shape, np.uint8)
        ids[:16, :20], ids[16:, :20], ids[:, 20:30] = 1, 2, 3
        table = [{"id": i, "category": c, "iscrowd": i == 3} for i, c in ((1, 1), (2, 1), (3, 0))]
        rows.append({"image_id": str(number), "image": encoded(np.zeros((*shape, 3), np.uint8)), "id_map": encoded(ids)})
        rows[-1]["segments"] = table
    write_labels(folder, LABELS)
    write_split(folder, "train", rows, 2)
    return folder


GRID = np.kron(np.arange(1, 151).reshape(10, 15), np.ones((8, 8), int)).astype(np.uint8)  # (80, 120), 150 squares


def write_grid(folder, things: int) -> None:
    """An image of 150 squares, of which so many are cats and the others sky."""
    table = [{"id": i, "category": int(i <= things), "iscrowd": False} for i in range(1, 151)]
    row = {"image_id": "grid", "image": encoded(np.zeros((80, 120, 3), np.uint8)), "id_map": encoded(GRID)}
    folder.mkdir(exist_ok=True)
    write_labels(folder, LABELS)
    write_split(folder, "val", [{**row, "segments": table}], 1)


def grid_outputs() -> EomtForUniversalSegmentationOutput:
    """Of a model that finds all squares, the later ones with ever less certainty, and with another 50 queries nothing."""
    masks = np.concatenate([np.equal.outer(np.arange(1, 151), GRID), np.zeros((50, 80, 120), bool)])
    canvas, classes = np.zeros((200, 120, 120), bool), torch.full((200, 3), -9.0)
    canvas[:, :80] = masks
    classes[:150, 0], classes[:, 2] = torch.linspace(4, -1, 150), 0.0  # from .98 to .27
    logits = torch.from_numpy(np.where(canvas, 9.0, -9.0).astype(np.float32))
    layouts = torch.tensor([[80, 120, 120, 120]])
    return EomtForUniversalSegmentationOutput(
        masks_queries_logits=logits[None], class_queries_logits=classes[None], image_layouts=layouts
    )


def test_of_more_than_100_objects_all_are_scored_written_and_drawn(tmp_path):
    write_grid(tmp_path, 150)
    task = task_of("instance")
    labels, crowded = task.labels(LABELS), task.of_split(tmp_path, "val")
    processor = task.processor(120, labels)
    stream = evaluation_stream(tmp_path, "val", processor, transform=task.sample)
    (sample,) = (example["sample"] for example in stream)
    call = (processor, grid_outputs(), (80, 120), 0.8, 0.0)
    limited, scored, written = (one.result(*call) for one in (task, crowded, task.of_files()))
    assert [len(one["rles"]) for one in (limited, scored, scored["all"], written)] == [100, 100, 150, 150]
    assert (limited["scores"] == scored["scores"]).all() and (written["scores"] == scored["all"]["scores"]).all()
    scores = crowded.metric(labels).compute([scored], [sample])
    assert scores["ap_all"] == scores["ap50_all"] == 100.0 and scores["ap"] == pytest.approx(100 * 67 / 101)
    plain = task.metric(labels).compute([limited], [sample])
    assert plain == {name: value for name, value in scores.items() if not name.endswith("_all")}
    assert crowded.main_score == task.main_score == "ap" and crowded.name == "instance"
    sure = int((written["scores"] >= 0.5).sum())
    for one, result in ((crowded, scored), (task.of_files(), written)):
        assert len(one.drawn(result, (80, 120)).classes) == sure
    assert 100 < sure < 150


def test_the_limit_follows_the_things_of_a_split(tmp_path):
    write_grid(tmp_path, 100)
    for task in TASKS.values():
        assert task.of_split(tmp_path, "val") is task
    assert task_of("semantic").of_files() is task_of("semantic") and task_of("panoptic").of_files() is task_of("panoptic")
    write_grid(tmp_path / "more", 101)
    assert task_of("instance").of_split(tmp_path / "more", "val") is not task_of("instance")


@pytest.mark.parametrize(("task", "targets"), [("semantic", [1]), ("instance", [0, 0]), ("panoptic", [1, 1])])
def test_training_targets(folder, task, targets):
    one = next(iter(training_stream(folder, "train", lambda *inputs: inputs, 0, transform=task_of(task).sample)))
    assert one["class_labels"].tolist() == targets  # the crowd is none
    pixels = [(one["id_map"] == segment).sum().item() for segment in one["segment_ids"]]
    assert sum(pixels) == 32 * 20


@pytest.mark.parametrize("task", TASKS)
def test_evaluation_batches_of_images_with_different_numbers_of_windows(folder, task):
    processor = task_of(task).processor(32, task_of(task).labels(LABELS))
    stream = evaluation_stream(folder, "train", processor, transform=task_of(task).sample)
    batch = next(iter(DataLoader(stream, batch_size=2, collate_fn=collate_evaluation)))
    windows = [3, 2] if task == "semantic" else [1, 1]
    assert batch["windows"] == windows and batch["pixel_values"].shape == (sum(windows), 3, 32, 32)
    offsets = [one if one is None else len(one) for one in batch["patch_offsets"]]
    assert offsets == (windows if task == "semantic" else [None, None])
    assert [one.id_map.shape for one in batch["samples"]] == [(32, 96), (32, 40)]
    assert batch["samples"][0].is_crowd.tolist() == {"semantic": [False, True], "instance": [False] * 2}.get(
        task, [False] * 2 + [True]
    )
