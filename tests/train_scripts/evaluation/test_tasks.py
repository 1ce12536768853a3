"""One dataset for three tasks: classes, truth with crowds, processors, and what both streams give."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from eomt.train_scripts.data.dataset_folder import Labels, write_labels
from eomt.train_scripts.data.evaluation_stream import collate_evaluation, evaluation_stream
from eomt.train_scripts.data.samples import Sample
from eomt.train_scripts.data.shard_writer import write_split
from eomt.train_scripts.data.training_stream import training_stream
from eomt.train_scripts.evaluation.tasks import TASKS, task_of

LABELS = Labels(["sky", "cat", "road", "dog"], [False, True, False, True])
SEGMENTS = [(900, 1, False), (4, 0, False), (70000, 1, False), (7, 3, True), (9, 3, False), (2, 0, False)]  # id, class, crowd
IDS = np.array([[0, 900, 4, 70000], [7, 9, 2, 0]], dtype=np.int32)


def sample() -> Sample:
    ids, classes, crowd = (torch.tensor(column) for column in zip(*SEGMENTS, strict=True))
    return Sample("x", torch.zeros(3, 2, 4, dtype=torch.uint8), torch.from_numpy(IDS), ids, classes, crowd)


def painted(one: Sample, crowd: bool = False) -> list[list[int]]:
    """The class of each pixel in a segment that is (not) crowd, else -1."""
    classes = torch.full(one.id_map.shape, -1)
    for segment, label, is_crowd in zip(one.segment_ids, one.class_labels, one.is_crowd, strict=True):
        if is_crowd == crowd:
            classes[one.id_map == segment] = label
    return classes.tolist()


def test_classes_of_the_tasks():
    assert task_of("semantic").labels(LABELS) == task_of("panoptic").labels(LABELS) == LABELS
    assert task_of("instance").labels(LABELS) == Labels(["cat", "dog"], [True, True])
    with pytest.raises(ValueError, match="task='depth' is unknown; choose one of semantic, instance, panoptic"):
        task_of("depth").labels(LABELS)
    with pytest.raises(ValueError, match="needs things"):
        task_of("instance").labels(Labels(["sky"], [False]))


def test_semantic_merges_a_class_and_leaves_crowds_apart():
    one = task_of("semantic").sample(sample(), LABELS)
    assert one.class_labels.tolist() == [0, 1, 3, 3] and one.is_crowd.tolist() == [False, False, False, True]
    assert len(set(one.segment_ids.tolist())) == 4 and set(one.id_map.unique().tolist()) == {0, *one.segment_ids.tolist()}
    assert painted(one) == [[-1, 1, 0, 1], [-1, 3, 0, -1]] and painted(one, crowd=True)[1][0] == 3


def test_instance_keeps_things_and_renumbers_them():
    one = task_of("instance").sample(sample(), LABELS)
    assert one.segment_ids.tolist() == [900, 70000, 7, 9] and one.class_labels.tolist() == [0, 0, 1, 1]
    assert one.is_crowd.tolist() == [False, False, True, False]
    assert painted(one) == [[-1, 0, -1, 0], [-1, 1, -1, -1]]  # stuff is void


def test_panoptic_is_as_stored_and_the_sample_given_is_left_alone():
    given = sample()
    assert task_of("panoptic").sample(given, LABELS) is given
    task_of("semantic").sample(given, LABELS)
    assert np.array_equal(given.id_map, IDS) and given.class_labels.tolist() == [1, 0, 1, 3, 3, 0]


@pytest.mark.parametrize("task", TASKS)
def test_images_without_segments(task):
    none = torch.zeros(0, dtype=torch.int64)
    empty = Sample("x", torch.zeros(3, 2, 2), torch.zeros(2, 2, dtype=torch.int32), none, none, none.bool())
    one = task_of(task).sample(empty, LABELS)
    assert len(one.segment_ids) == len(one.class_labels) == len(one.is_crowd) == 0 and not one.id_map.any()


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
