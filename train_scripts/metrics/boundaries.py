"""The boundary of a mask (Cheng et al., "Boundary IoU", CVPR 2021): its pixels within 2 % of the image's diagonal of its edge.

Shapes: h, w pixels of the box around a mask.
"""

import math

import numpy as np
from pycocotools import mask as coco_mask

from eomt.train_scripts.data.run_lengths import edges_to_rle, rle_to_edges

DIAGONAL_SHARE = 0.02


def boundary(rle: dict) -> dict:
    """A mask less its erosion, from run lengths to run lengths.

    The structuring element is a square. Outside of the image is background. Only the box around the mask is unpacked.
    """
    from scipy import ndimage  # here, since only boundary AP needs it

    height, width = rle["size"]
    distance = max(1, round(DIAGONAL_SHARE * math.hypot(height, width)))
    left, top, columns, rows = coco_mask.toBbox(rle).astype(int)
    if min(columns, rows) <= 2 * distance:
        return rle  # no pixel is farther from the edge: the erosion is empty
    offset = left * height  # run lengths go by columns: those left of the box are left out
    edges = rle_to_edges(rle, rle["size"], "rle") - offset
    # +1 where a run starts and -1 where it ends: the cumulative sum is the mask
    steps = np.zeros(columns * height + 1, dtype=np.int8)  # one more than pixels, for a run that ends with the last
    np.add.at(steps, edges, np.resize([1, -1], len(edges)).astype(np.int8))
    mask = steps.cumsum(dtype=np.int8)
    box = mask[:-1].reshape(columns, height)[:, top : top + rows]  # (w, h), a view of `mask`
    eroded = box
    for axis in (0, 1):  # a square's minimum is the minimum along one axis, then along the other
        eroded = ndimage.minimum_filter1d(eroded, 2 * distance + 1, axis, mode="constant")
    box -= eroded
    edges = np.flatnonzero(mask[1:] != mask[:-1]) + 1
    return edges_to_rle(np.concatenate([[0], edges] if mask[0] else [edges]) + offset, [height, width])
