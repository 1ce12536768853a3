"""Boundaries against the definition: so many erosions by 3 x 3 pixels, outside of the image being background."""

import math

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from scipy import ndimage

from eomt.train_scripts.metrics.boundaries import boundary


def encoded(mask: np.ndarray) -> dict:
    return coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))


def defined(mask: np.ndarray) -> np.ndarray:
    iterations = max(1, round(0.02 * math.hypot(*mask.shape)))
    return mask & ~ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=iterations, border_value=0)


def test_by_hand():
    square = np.ones((6, 5), dtype=bool)  # 2 % of 7.8 pixels: one pixel
    ring = square.copy()
    ring[1:-1, 1:-1] = False
    assert boundary(encoded(square)) == encoded(ring)


@pytest.mark.parametrize("kind", ["empty", "full", "pixel", "line", "box", "at the border", "holes", "blobs", "noise"])
@pytest.mark.parametrize("size", [(120, 161), (300, 90), (40, 31)])
def test_as_defined(kind, size):
    random, (height, width) = np.random.default_rng(1), size
    mask = np.zeros(size, dtype=bool)
    if kind == "full":
        mask[:] = True
    elif kind == "pixel":
        mask[height // 2, width // 3] = True
    elif kind == "line":
        mask[height // 2] = True
    elif kind == "box":
        mask[5 : height - 7, 6 : width - 3] = True
    elif kind == "at the border":
        mask[: height // 2, width // 3 :] = True
    elif kind == "holes":
        mask[3:-3, 3:-3] = random.random((height - 6, width - 6)) < 0.999
    elif kind == "blobs":
        mask = ndimage.gaussian_filter(random.standard_normal(size), 6) > 0
    elif kind == "noise":
        mask = random.random(size) < 0.5
    assert boundary(encoded(mask)) == encoded(defined(mask))
