"""Samples as the tasks need them: classes merged, things alone, overlaps flattened, and crowds kept."""

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.planes import stack_rles
from eomt.train_scripts.data.samples import Sample
from eomt.train_scripts.data.task_samples import instance_sample, panoptic_sample, semantic_sample

LABELS = Labels(["sky", "cat", "road", "dog"], [False, True, False, True])
SEGMENTS = [(900, 1, False), (4, 0, False), (70000, 1, False), (7, 3, True), (9, 3, False), (2, 0, False)]  # id, class, crowd
IDS = np.array([[0, 900, 4, 70000], [7, 9, 2, 0]], dtype=np.int32)


def make_sample(id_map: np.ndarray, segments: list[tuple[int, int, bool]]) -> Sample:
    ids, classes, crowd = (torch.tensor(column) for column in zip(*segments, strict=True))
    image = torch.zeros(3, *id_map.shape[-2:], dtype=torch.uint8)
    return Sample("x", image, torch.from_numpy(id_map), ids, classes, crowd)


@pytest.fixture
def sample() -> Sample:
    return make_sample(IDS.copy(), SEGMENTS)


@pytest.fixture
def overlapping() -> Sample:
    """A large square, and a small one on it twice: three planes."""
    drawn = np.zeros((3, 8, 8), dtype=np.uint8)
    drawn[0, 1:7, 1:7] = drawn[1:, 2:4, 2:4] = 1
    planes = stack_rles([coco_mask.encode(np.asfortranarray(mask)) for mask in drawn], [1, 2, 3], (8, 8))
    return make_sample(planes, [(1, 1, False), (2, 3, False), (3, 3, False)])


def painted(one: Sample, crowd: bool = False) -> list[list[int]]:
    """The class of each pixel in a segment that is (not) crowd, else -1."""
    classes = torch.full(one.id_map.shape, -1)
    for segment, label, is_crowd in zip(one.segment_ids, one.class_labels, one.is_crowd, strict=True):
        if is_crowd == crowd:
            classes[one.id_map == segment] = label
    return classes.tolist()


def test_segments_of_a_class_are_merged_and_crowds_stay_apart(sample):
    one = semantic_sample(sample, LABELS)
    assert one.class_labels.tolist() == [0, 1, 3, 3] and one.is_crowd.tolist() == [False, False, False, True]
    assert len(set(one.segment_ids.tolist())) == 4 and set(one.id_map.unique().tolist()) == {0, *one.segment_ids.tolist()}
    assert painted(one) == [[-1, 1, 0, 1], [-1, 3, 0, -1]] and painted(one, crowd=True)[1][0] == 3
    assert np.array_equal(sample.id_map, IDS) and sample.class_labels.tolist() == [1, 0, 1, 3, 3, 0]


def test_things_are_kept_and_renumbered(sample):
    one = instance_sample(sample, LABELS)
    assert one.segment_ids.tolist() == [900, 70000, 7, 9] and one.class_labels.tolist() == [0, 0, 1, 1]
    assert one.is_crowd.tolist() == [False, False, True, False]
    assert painted(one) == [[-1, 0, -1, 0], [-1, 1, -1, -1]]  # stuff is void


def test_panoptic_stuff_is_one_segment_a_class_and_things_stay(sample):
    """As polygons of two regions of sky are drawn, and as panoptic data are defined."""
    one = panoptic_sample(sample, LABELS)
    assert one.segment_ids.tolist() == [900, 4, 70000, 7, 9] and one.class_labels.tolist() == [1, 0, 1, 3, 3]
    assert one.id_map.tolist() == [[0, 900, 4, 70000], [7, 9, 4, 0]] and one.is_crowd.tolist() == [False, False, False, True, False]
    assert panoptic_sample(one, LABELS) is one  # as datasets of panoptic annotations have it
    assert np.array_equal(sample.id_map, IDS)


def test_overlaps_are_flattened_but_for_things_alone(sample, overlapping):
    assert overlapping.id_map.shape == (3, 8, 8) == instance_sample(overlapping, LABELS).id_map.shape
    flat = panoptic_sample(overlapping, LABELS)
    assert flat.id_map.shape == (8, 8) and flat.segment_ids.tolist() == [1, 2]  # segment 3 doesn't show
    assert semantic_sample(overlapping, LABELS).class_labels.tolist() == [1, 3]


@pytest.mark.parametrize("transform", [semantic_sample, instance_sample, panoptic_sample])
def test_images_without_segments(transform):
    none = torch.zeros(0, dtype=torch.int64)
    empty = Sample("x", torch.zeros(3, 2, 2), torch.zeros(2, 2, dtype=torch.int32), none, none, none.bool())
    one = transform(empty, LABELS)
    assert len(one.segment_ids) == len(one.class_labels) == len(one.is_crowd) == 0 and not one.id_map.any()
