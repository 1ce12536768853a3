"""The boundary of a mask (Cheng et al., "Boundary IoU", CVPR 2021): its pixels within 2 % of the image's diagonal of its edge."""

import math

import numpy as np
from pycocotools import mask as coco_mask
from scipy import ndimage

from eomt.train_scripts.data.run_lengths import edges_to_rle, rle_to_edges

SHARE = 0.02  # of the image's diagonal


def boundary(rle: dict) -> dict:
    """A mask less its erosion by squares, outside of the image being background, from run lengths to run lengths.

    Only the box around the mask is ever unpacked.
    """
    height, width = rle["size"]
    distance = max(1, round(SHARE * math.hypot(height, width)))
    left, top, columns, rows = coco_mask.toBbox(rle).astype(int)
    if min(columns, rows) <= 2 * distance:
        return rle  # nothing is farther from the edge
    offset = left * height
    edges = rle_to_edges(rle, rle["size"], "rle") - offset
    steps = np.zeros(columns * height + 1, dtype=np.int8)
    np.add.at(steps, edges, np.resize([1, -1], len(edges)).astype(np.int8))
    mask = steps.cumsum(dtype=np.int8)
    box = mask[:-1].reshape(columns, height)[:, top : top + rows]
    inside = box
    for axis in (0, 1):
        inside = ndimage.minimum_filter1d(inside, 2 * distance + 1, axis, mode="constant")
    box -= inside
    changes = np.flatnonzero(mask[1:] != mask[:-1]) + 1
    return edges_to_rle(np.concatenate([[0], changes] if mask[0] else [changes]) + offset, [height, width])
