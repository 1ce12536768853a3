"""Planes: every segment whole in one of them, and small segments before large ones."""

import numpy as np
from pycocotools import mask as coco_mask

from eomt.train_scripts.data.planes import flatten_planes, stack_rles

SIZE = (40, 60)


def encoded(masks: np.ndarray) -> list[dict]:
    return [coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8)) for mask in masks]


def overlapping() -> np.ndarray:
    """A large square, a small one on it, one that overlaps both, and one apart: (4, 40, 60)."""
    masks = np.zeros((4, *SIZE), dtype=bool)
    masks[0, 5:30, 5:35] = masks[1, 10:15, 10:15] = masks[2, 12:38, 12:40] = masks[3, 0:10, 50:60] = True
    return masks


def test_every_mask_is_in_one_plane_and_whole():
    planes = stack_rles(encoded(overlapping()), [1, 2, 3, 4], SIZE)
    assert planes.shape == (3, *SIZE) and planes.dtype == np.int32
    for index, mask in enumerate(overlapping()):
        assert [np.array_equal(plane == index + 1, mask) for plane in planes].count(True) == 1


def test_segments_that_do_not_overlap_take_no_planes():
    masks = overlapping()[1::2]
    assert np.array_equal(stack_rles(encoded(masks), [5, 9], SIZE), 5 * masks[0] + 9 * masks[1])
    assert stack_rles([], [], SIZE).shape == SIZE


def test_a_segment_lies_behind_all_smaller_ones_that_it_overlaps():
    """The largest covers the middle one but not the smallest, beside which there would be room for it."""
    masks = np.zeros((3, *SIZE), dtype=bool)
    masks[0, 0:2, 0:2] = masks[1, 0:10, 0:6] = masks[2, 1:30, 2:40] = True
    flat = flatten_planes(stack_rles(encoded(masks), [1, 2, 3], SIZE))
    assert flat[0, 0] == 1 and flat[5, 3] == 2 and flat[20, 20] == 3 and (flat == 2).sum() == 60 - 4


def test_smaller_segments_show_in_one_plane():
    masks = overlapping()
    expected = np.zeros(SIZE, dtype=int)
    for index in np.argsort(-masks.sum((1, 2))):
        expected[masks[index]] = index + 1
    assert np.array_equal(flatten_planes(stack_rles(encoded(masks), [1, 2, 3, 4], SIZE)), expected)
    assert np.array_equal(flatten_planes(expected), expected)


def test_more_than_255_masks():
    masks = np.zeros((300, *SIZE), dtype=bool)
    for index in range(300):
        masks[index, index // 60 : index // 60 + 2, index % 60] = True  # the rows of masks overlap
    planes = stack_rles(encoded(masks), list(range(1, 301)), SIZE)
    assert all((planes == index + 1).any(0).sum() == 2 for index in range(300))
