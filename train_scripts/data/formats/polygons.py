"""Polygons of a segment -> its mask.

Shapes: H, W pixels.
"""

from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco_mask

from eomt.train_scripts.data.samples import BadSample

# Of the image's longer side. Annotation tools let vertices lie a little outside; one further out is of another image or size.
SLACK = 0.05


def polygon_mask(polygons: Sequence[Sequence[float]], size: tuple[int, int], name: str) -> dict | None:
    """The polygons of one segment -> its mask.

    The mask is the union of the polygons, each drawn as pycocotools draws it. What lies outside the image is cut off.

    Args:
        polygons: each x0, y0, x1, y1, ... in pixels.
        size: (H, W) of the image.
        name: of file and segment, for error messages.

    Returns:
        The mask in COCO's compressed run lengths; None if it has no pixel.

    Raises:
        BadSample: a polygon has fewer than three points, or lies outside the image by more than a twentieth of its longer side.
    """
    slack = SLACK * max(size)
    for polygon in polygons:
        if len(polygon) < 6 or len(polygon) % 2 or not np.isfinite(polygon).all():
            raise BadSample(f"{name} has a polygon of {len(polygon)} numbers; it takes x and y of three points or more")
        points = np.asarray(polygon, dtype=float).reshape(-1, 2)
        if points.min() < -slack or (points > np.array(size[::-1]) + slack).any():
            raise BadSample(
                f"{name} has a polygon from {points.min(0).round(1).tolist()} to {points.max(0).round(1).tolist()}, outside the "
                f"image of {size[1]} x {size[0]} pixels. Is it of another image, or of another size of it?"
            )
    mask = coco_mask.merge(coco_mask.frPyObjects([list(map(float, polygon)) for polygon in polygons], *size))
    return mask if coco_mask.area(mask) else None
