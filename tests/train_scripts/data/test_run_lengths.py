"""Run lengths: as pycocotools makes them, and back; broken ones are refused."""

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from eomt.train_scripts.data.run_lengths import edges_to_rle, mask_areas, rle_to_edges, segments_to_rles


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
