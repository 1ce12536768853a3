"""Rows of segments: ids in as few bits as they take, and run lengths where masks overlap."""

import io

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from eomt.train_scripts.data.formats.segment_rows import encoded_ids, recoded_map, row_of_masks

SIZE = (4, 6)


def stored(encoded: dict) -> Image.Image:
    return Image.open(io.BytesIO(encoded["bytes"]))


def mask_of(rows: slice, columns: slice) -> dict:
    mask = np.zeros(SIZE, np.uint8)
    mask[rows, columns] = 1
    return coco_mask.encode(np.asfortranarray(mask))


@pytest.mark.parametrize(("largest", "mode"), [(255, "L"), (256, "I;16"), (65535, "I;16")])
def test_ids_take_as_few_bits_as_they_need(largest, mode):
    ids = np.array([[0, 1, largest]])
    assert stored(encoded_ids(ids)).mode == mode and np.array_equal(np.asarray(stored(encoded_ids(ids))), ids)


def test_values_become_ids_and_others_void():
    values = np.array([[7, -1, 40], [7, 2**31 - 1, 0]])
    assert np.asarray(stored(recoded_map(values, {7: 1, 40: 300}))).tolist() == [[1, 0, 300], [1, 0, 0]]


def test_masks_apart_are_an_id_map(photo, tmp_path):
    path = photo(tmp_path / "a.png", SIZE)
    masks = [mask_of(slice(0, 2), slice(0, 3)), None, mask_of(slice(2, 4), slice(3, 6))]
    row = row_of_masks("a", path, SIZE, masks, [4, 5, 6], [0, 0, 1])
    assert row["dropped"] == 1 and row["rles"] is None and row["image"]["bytes"] == path.read_bytes()
    assert row["segments"] == [{"id": 1, "category": 4, "iscrowd": False}, {"id": 2, "category": 6, "iscrowd": True}]
    ids = np.zeros(SIZE, int)
    ids[:2, :3], ids[2:, 3:] = 1, 2
    assert np.array_equal(np.asarray(stored(row["id_map"])), ids)


def test_masks_that_overlap_stay_whole(photo, tmp_path):
    masks = [mask_of(slice(0, 3), slice(0, 3)), mask_of(slice(2, 4), slice(2, 6))]
    row = row_of_masks("a", photo(tmp_path / "a.png", SIZE), SIZE, masks, [0, 1], [False, False])
    assert row["id_map"] is None and row["rles"] == [mask["counts"].decode() for mask in masks]


def test_no_masks(photo, tmp_path):
    row = row_of_masks("a", photo(tmp_path / "a.png", SIZE), SIZE, [], [], [])
    assert row["segments"] == [] and stored(row["id_map"]).size == (6, 4) and not np.asarray(stored(row["id_map"])).any()
