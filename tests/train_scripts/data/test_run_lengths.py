"""Run lengths: as pycocotools makes them, and back; broken ones are refused."""

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from eomt.train_scripts.data.run_lengths import (
    edges_to_rle,
    mask_areas,
    mask_columns,
    rle_to_edges,
    rles_to_ids,
    segments_to_rles,
)


def encoded(mask: np.ndarray) -> dict:
    return coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))


def test_an_id_map_becomes_what_pycocotools_encodes(made_samples):
    for sample in made_samples:
        ids = [*sample.segment_ids.tolist(), 5]  # 5 has no pixel
        expected = [encoded(sample.id_map.numpy() == i) for i in ids]
        assert segments_to_rles(sample.id_map, ids) == expected


@pytest.mark.parametrize("rows", [[[1]], [[1, 1], [1, 1]], [[0, 1], [1, 0]], [[1, 0], [0, 1]], [[0, 0]], [[7, 1, 1]]])
def test_small_maps(rows):
    id_map = torch.tensor(rows)
    assert segments_to_rles(id_map, [1]) == [encoded(id_map.numpy() == 1)]
    assert segments_to_rles(id_map, []) == []


@pytest.mark.parametrize(
    "height, width, density", [(1, 1, 1), (3, 5, 0.5), (200, 300, 0.5), (900, 1100, 1e-5), (64, 64, 0), (64, 64, 1)]
)
def test_edges_are_where_runs_start_and_end(height, width, density):
    """Long runs take several bytes a number, and later numbers are signed differences."""
    mask = np.random.default_rng(0).random((height, width)) < density
    rle = encoded(mask)
    edges = rle_to_edges(rle, (height, width), "rle")
    flat = np.zeros(height * width + 1, dtype=int)
    np.add.at(flat, edges, np.resize([1, -1], len(edges)))
    assert np.array_equal(flat[:-1].cumsum().reshape(width, height).T, mask)
    assert edges_to_rle(edges, [height, width]) == rle


def test_broken_ones_are_refused():
    good = encoded(np.random.default_rng(0).random((5, 7)) < 0.5)
    counts = good["counts"]
    for broken in (b"", counts + b"5", counts[:-2], counts + b"o", b"\xff\xff", b"o" * 30, b" ", b"S1M", b"P" * 12 + b"1"):
        with pytest.raises(ValueError, match="rles.3. has broken counts: their runs must fill 5 x 7 pixels"):
            rle_to_edges({"size": [5, 7], "counts": broken}, (5, 7), "rles[3]")
    for other in ({"size": [7, 5], "counts": counts}, {"size": [5, 7], "counts": [35]}, {"counts": counts}, "a mask", None):
        with pytest.raises(ValueError, match=r"rles\[3\] must be {'size': \[5, 7\], 'counts': bytes}"):
            rle_to_edges(other, (5, 7), "rles[3]")


@pytest.mark.parametrize("count", [0, 1, 255, 256, 1000])
def test_areas_of_any_number_of_masks(count):
    mask = coco_mask.encode(np.asfortranarray(np.ones((20, 30), np.uint8)))
    assert mask_areas([mask] * count).tolist() == [600] * count


@pytest.mark.parametrize("density", [0, 0.02, 0.5, 1])
def test_the_columns_that_a_mask_touches(density):
    mask = np.random.default_rng(0).random((9, 40)) < density
    mask[:, :7] = mask[:, 31:] = False
    columns, pixels = mask_columns(encoded(mask), mask.shape)
    assert np.array_equal(mask[:, columns], pixels) and pixels.sum() == mask.sum()
    assert pixels.shape[1] <= 24 and (density < 0.5 or pixels.shape[1] == 24)


@pytest.mark.parametrize("density", [0.001, 0.3, 1])
def test_masks_that_do_not_overlap_become_ids(density):
    rng = np.random.default_rng(0)
    ids = rng.integers(1, 300, (30, 50)) * (rng.random((30, 50)) < density)
    found = rles_to_ids([encoded(ids == index) for index in range(1, 300)], ids.shape)
    assert np.array_equal(found, ids)
    assert not rles_to_ids([], (30, 50)).any() and rles_to_ids([], (30, 50)).shape == (30, 50)


def test_ids_of_masks_with_empty_runs_and_of_masks_that_overlap():
    masks = np.zeros((3, 4, 6), bool)
    masks[0, :, :2] = masks[1, :, 2:4] = masks[2, 3, 1:3] = True
    split = coco_mask.frPyObjects({"size": [4, 6], "counts": [2, 0, 0, 3, 0, 5, 14]}, 4, 6)  # some runs have no pixel
    assert rles_to_ids([split], (4, 6)).T.ravel().tolist() == [0, 0] + [1] * 8 + [0] * 14
    assert rles_to_ids([encoded(mask) for mask in masks[:2]], (4, 6)).tolist() == [[1, 1, 2, 2, 0, 0]] * 4
    assert rles_to_ids([encoded(mask) for mask in masks], (4, 6)) is None
    assert rles_to_ids([encoded(masks[0])] * 2, (4, 6)) is None
