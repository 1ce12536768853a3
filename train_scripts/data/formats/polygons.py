"""Polygons of a segment -> its mask.

Shapes: H, W pixels.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from eomt.train_scripts.data.formats.annotation_notes import AnnotationNotes, BadAnnotation

# Of the image's longer side. Annotation tools let vertices lie a little outside; one further out is of another image or size.
SLACK = 0.05
CLIPPED = "polygons were cut off at the border of their image"


def polygon_mask(polygons: Sequence[Sequence[float]], size: tuple[int, int], name: str, notes: AnnotationNotes) -> dict | None:
    """The polygons of one segment -> its mask.

    The mask is the union of the polygons, each drawn as pycocotools draws it. What lies outside the image is cut off. A polygon
    that can't be drawn, with fewer than three points or outside the image by more than a twentieth of its longer side, is left out.

    Args:
        polygons: each x0, y0, x1, y1, ... in pixels.
        size: (H, W) of the image.
        name: of file and segment, for messages.
        notes: to which polygons that are left out, and those that are cut off, are added.

    Returns:
        The mask in COCO's compressed run lengths; None if it has no pixel.
    """
    drawn = usable_polygons(polygons, size, name, notes)
    if not drawn:
        return None
    mask = coco_mask.merge(coco_mask.frPyObjects(drawn, *size))
    return mask if coco_mask.area(mask) else None


def usable_polygons(
    polygons: Sequence[Sequence[float]], size: tuple[int, int], name: str, notes: AnnotationNotes
) -> list[list[float]]:
    """The polygons that can be drawn; the others are added to `notes`. See [`polygon_mask`]."""
    usable = []
    for polygon in polygons:
        try:
            points = _points(polygon, name)  # (P, 2)
            _check_inside(points, size, name)
        except BadAnnotation as fault:
            notes.faults.append(fault)
            continue
        notes.repaired[CLIPPED] += bool(points.min() < -1 or (points > np.array(size[::-1]) + 1).any())
        usable.append(points.ravel().tolist())
    return usable


def _points(polygon: Any, name: str) -> np.ndarray:
    try:
        numbers = np.asarray(polygon, dtype=float).ravel()
    except (TypeError, ValueError):
        raise BadAnnotation(f"{name} has {polygon!r:.60}, which is no polygon: x0, y0, x1, y1, ...", "without a polygon") from None
    if len(numbers) < 6 or len(numbers) % 2 or not np.isfinite(numbers).all():
        raise BadAnnotation(
            f"{name} has a polygon of {len(numbers)} numbers; it takes x and y of three points or more.",
            "polygons of fewer than three points",
        )
    return numbers.reshape(-1, 2)


def _check_inside(points: np.ndarray, size: tuple[int, int], name: str) -> None:
    slack = SLACK * max(size)
    if points.min() < -slack or (points > np.array(size[::-1]) + slack).any():
        raise BadAnnotation(
            f"{name} has a polygon from {points.min(0).round(1).tolist()} to {points.max(0).round(1).tolist()}, outside the "
            f"image of {size[1]} x {size[0]} pixels. Is it of another image, or of another size of it?",
            "polygons outside their image",
        )
