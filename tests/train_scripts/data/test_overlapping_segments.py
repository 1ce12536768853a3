"""Overlapping segments on their whole way: from a row's run lengths to training targets, the loss, scores and pictures."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask

from eomt.criterion.targets import ImageTargets
from eomt.image_processing.augmentation import training_augmentation
from eomt.train_scripts.data.dataset_folder import Labels, load_split, write_labels
from eomt.train_scripts.data.planes import flatten_planes, stack_rles
from eomt.train_scripts.data.run_lengths import segments_to_rles
from eomt.train_scripts.data.samples import Sample, decode_row
from eomt.train_scripts.data.shard_writer import write_split
from eomt.train_scripts.data.task_samples import instance_sample
from eomt.train_scripts.data.training_collator import TrainingCollator, stack_id_maps
from eomt.train_scripts.data.training_stream import training_stream
from eomt.train_scripts.evaluation.pictures import picture_row
from eomt.train_scripts.evaluation.tasks import task_of
from eomt.train_scripts.metrics.average_precision import AveragePrecision

SIZE = (40, 60)
LABELS = Labels(["box", "cup"], [True, True])


def masks() -> np.ndarray:
    """A large square, a small one on it, one that overlaps both, and one apart: (4, 40, 60)."""
    drawn = np.zeros((4, *SIZE), dtype=bool)
    drawn[0, 5:30, 5:35] = drawn[1, 10:15, 10:15] = drawn[2, 12:38, 12:40] = drawn[3, 0:10, 50:60] = True
    return drawn


def rles() -> list[dict]:
    return [coco_mask.encode(np.asfortranarray(mask.astype(np.uint8))) for mask in masks()]


def row(**changes) -> dict:
    photo = io.BytesIO()
    Image.fromarray(np.full((*SIZE, 3), 90, dtype=np.uint8)).save(photo, "PNG")
    fields = {
        "image_id": "shelf",
        "image": {"bytes": photo.getvalue(), "path": None},
        "id_map": None,
        "segments": [{"id": 1 + index, "category": index % 2, "iscrowd": False} for index in range(4)],
        "rles": [rle["counts"].decode() for rle in rles()],
    }
    return fields | changes


@pytest.fixture
def sample() -> Sample:
    return decode_row(row(), 2, "here")


def test_a_row_decodes_to_planes(sample):
    assert sample.id_map.dtype == torch.int32 and np.array_equal(sample.id_map, stack_rles(rles(), [1, 2, 3, 4], SIZE))


def test_smaller_segments_show_in_a_picture(sample):
    drawn = picture_row(task_of("semantic"), sample, torch.zeros(SIZE, dtype=torch.int64))
    assert np.array_equal(drawn.truth.id_map, flatten_planes(sample.id_map.numpy()))


def test_targets_are_those_of_the_masks(sample):
    generator = torch.Generator().manual_seed(0)
    planes = ImageTargets(sample.id_map, sample.segment_ids)
    stacked = ImageTargets(torch.from_numpy(masks()))
    points = torch.rand(300, 2, generator=generator)
    torch.testing.assert_close(planes.sample_all(points), stacked.sample_all(points))
    targets, points = torch.tensor([2, 0, 1, 2]), torch.rand(4, 300, 2, generator=generator)
    torch.testing.assert_close(planes.sample_each(targets, points), stacked.sample_each(targets, points))


def test_the_loss_is_that_of_the_masks(tiny_model, sample):
    model = tiny_model(num_labels=2).train()
    pixels, keys = torch.randn(2, 3, 64, 64), torch.tensor([1, 2])
    ids = [sample.segment_ids, torch.tensor([7])]
    one_plane = torch.zeros(SIZE, dtype=torch.int32)
    one_plane[20:, 20:] = 7
    labels = [sample.class_labels, torch.tensor([1])]
    maps = stack_id_maps([sample.id_map, one_plane])
    assert maps.shape == (2, 3, *SIZE)
    by_planes = model(pixels, id_maps=maps, segment_ids=ids, class_labels=labels, sample_keys=keys).loss
    mask_labels = [torch.from_numpy(masks()).float(), (one_plane == 7)[None].float()]
    torch.testing.assert_close(by_planes, model(pixels, mask_labels=mask_labels, class_labels=labels, sample_keys=keys).loss)


def test_overlapping_truths_score_whole(sample):
    metric = AveragePrecision(2)
    detections = {"rles": rles(), "scores": torch.ones(4), "labels": sample.class_labels}
    scores = metric.compute([detections], [sample])
    assert scores["ap"] == pytest.approx(100)
    assert [rle["counts"] for rle in segments_to_rles(sample.id_map, [1, 2, 3, 4])] == [rle["counts"] for rle in rles()]
    assert segments_to_rles(sample.id_map, []) == []


def test_shards_with_and_without_overlap_stream_into_one_batch(tmp_path):
    png = io.BytesIO()
    Image.fromarray(masks()[0].astype(np.uint8)).save(png, "PNG")
    plain = row(image_id="plain", id_map={"bytes": png.getvalue(), "path": None}, segments=row()["segments"][:1], rles=None)
    write_labels(tmp_path, LABELS)
    write_split(tmp_path, "train", [row(), plain], 2)
    assert [bool(stored["rles"]) for stored in load_split(tmp_path, "train")] == [True, False]
    stream = training_stream(tmp_path, "train", training_augmentation(32, 1.0, 1.0), 0, transform=instance_sample)
    samples = {sample["image_id"]: sample for sample, _ in zip(stream, range(2), strict=False)}
    assert samples["shelf"]["id_map"].shape == (3, 32, 32) and samples["plain"]["id_map"].shape == (32, 32)
    batch = TrainingCollator((0.5,) * 3, (0.25,) * 3)(list(samples.values()))
    assert batch["id_maps"].shape == (2, 3, 32, 32)
    for segment in (1, 2, 3, 4):
        assert (samples["shelf"]["id_map"] == segment).any((1, 2)).sum() == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rles": ["a"]}, "rles has 1 entries, but segments 4"),
        ({"rles": ["52", *row()["rles"][1:]]}, r"rles\[0\] has broken counts: their runs must fill 40 x 60 pixels"),
        ({"segments": [{"id": 0, "category": 0, "iscrowd": False}, *row()["segments"][1:]]}, r"ids \[0\]; beside rles"),
    ],
)
def test_broken_rows_are_named(changes, said):
    with pytest.raises(ValueError, match=f"here: image_id 'shelf'.*{said}"):
        decode_row(row(**changes), 2, "here")
