"""The segmentation of an annotation of COCO -> its mask: polygons, or run lengths, compressed or not.

Shapes: H, W pixels.
"""

import ast
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from eomt.train_scripts.data.formats.annotation_notes import AnnotationNotes, BadAnnotation
from eomt.train_scripts.data.formats.polygons import usable_polygons
from eomt.train_scripts.data.run_lengths import mask_areas, rle_to_edges

SAME_AREA = 0.02  # relative, of a mask and the area that its annotation states
CUT_OUT = "polygons inside another one of their annotation were cut out as holes"
SWAPPED = "run lengths whose size has width before height"


def segmentation_mask(annotation: dict, size: tuple[int, int], name: str, notes: AnnotationNotes) -> dict | None:
    """The mask of an annotation in compressed run lengths; None if it has no pixel, or no polygon that can be drawn.

    Args:
        annotation: of COCO's form.
        size: (H, W) of the image.
        name: of file and annotation, for messages.
        notes: to which polygons that are left out are added, and what was repaired.

    Raises:
        BadAnnotation: there is no segmentation, or it is broken.
    """
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, dict):
        mask = _run_length_mask(segmentation, annotation.get("bbox"), size, name, notes)
    elif isinstance(segmentation, list) and segmentation:
        polygons = usable_polygons(_polygons(segmentation), size, name, notes)
        mask = _drawn(polygons, annotation.get("area"), size, notes) if polygons else None
    elif segmentation:
        raise BadAnnotation(f"{name} has {segmentation!r:.40} as its segmentation; it takes polygons.", "without a polygon")
    else:
        raise BadAnnotation(f"{name} has no segmentation, a box perhaps. Draw one, or take it away.", "without a polygon")
    return mask if mask is not None and coco_mask.area(mask) else None


def _polygons(segmentation: list) -> list:
    """Polygons, of which some tools write the only one without the list around it, or points as pairs."""
    if not isinstance(segmentation[0], list):
        return [segmentation]
    return [segmentation] if all(isinstance(point, list) and len(point) == 2 for point in segmentation) else segmentation


def _drawn(polygons: list[list[float]], area: Any, size: tuple[int, int], notes: AnnotationNotes) -> dict:
    """The union of polygons, as pycocotools draws it, unless a polygon inside another one is a hole.

    In a union a polygon inside another one changes nothing. Several tools write holes so. COCO's own annotations state the area of
    the union, and then that is what is drawn, unless the area without the holes is nearer.
    """
    masks = coco_mask.frPyObjects(polygons, *size)
    union = coco_mask.merge(masks)
    depths = _depths(masks)
    if not any(depth % 2 for depth in depths):
        return union
    pixels = np.zeros(size, dtype=np.uint8)
    for depth, mask in sorted(zip(depths, masks, strict=True), key=lambda entry: entry[0]):
        pixels[coco_mask.decode(mask).astype(bool)] = depth % 2 == 0
    cut_out = coco_mask.encode(np.asfortranarray(pixels))
    if _is_nearest(area, int(coco_mask.area(union)), int(coco_mask.area(cut_out))):
        return union
    notes.repaired[CUT_OUT] += int(sum(depth % 2 for depth in depths))
    return cut_out


def _depths(masks: list[dict]) -> list[int]:
    """In how many other, larger masks each one lies whole."""
    if len(masks) < 2:
        return [0] * len(masks)
    areas = mask_areas(masks)
    boxes = coco_mask.toBbox(masks)  # x, y, width, height
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    return [
        sum(
            areas[inner] < areas[outer]
            and bool((low[inner] >= low[outer]).all() and (high[inner] <= high[outer]).all())
            and coco_mask.area(coco_mask.merge([masks[inner], masks[outer]], intersect=True)) == areas[inner]
            for outer in range(len(masks))
        )
        if areas[inner]
        else 0
        for inner in range(len(masks))
    ]


def _is_nearest(stated: Any, area: int, other: int) -> bool:
    """Whether a stated area is about an area, and is no nearer to another one."""
    if not isinstance(stated, int | float):
        return False
    return abs(stated - area) <= min(SAME_AREA * area, abs(stated - other))


def _run_length_mask(segmentation: dict, box: Any, size: tuple[int, int], name: str, notes: AnnotationNotes) -> dict:
    stated = tuple(segmentation.get("size") or ())
    if stated == size:
        return _decoded(segmentation.get("counts"), size, name)
    if stated != size[::-1]:
        raise BadAnnotation(
            f"{name} has run lengths of the size {list(stated)}, but the image is {list(size)}, height and width. Export it again "
            "from the image that was annotated.",
            "with run lengths of another size",
        )
    as_stated = np.asfortranarray(coco_mask.decode(_decoded(segmentation.get("counts"), stated, name)).T)
    candidates = [_decoded(segmentation.get("counts"), size, name), coco_mask.encode(as_stated)]
    fitting = [mask for mask in candidates if _fits(coco_mask.toBbox(mask), box)]
    if len(fitting) != 1:
        raise BadAnnotation(
            f"{name} has run lengths of the size {list(stated)}, but the image is {list(size)}, height and width, and its box "
            "doesn't say whether the size or the mask is turned. Write size as [height, width], and encode masks of that shape.",
            "with run lengths of another size",
        )
    notes.repaired[SWAPPED] += 1
    return fitting[0]


def _fits(of_mask: np.ndarray, box: Any) -> bool:
    """Whether a mask's box is the one that is stated, both x, y, width, height. Tools round to one pixel or two."""
    return isinstance(box, list) and len(box) == 4 and bool(np.abs(of_mask - np.asarray(box, dtype=float)).max() <= 2)


def _decoded(counts: Any, size: tuple[int, int], name: str) -> dict:
    """Run lengths as a list, as COCO's text, or as Python's `b'...'` of it."""
    if isinstance(counts, list):
        if not all(isinstance(count, int | float) and count >= 0 for count in counts) or sum(counts) != size[0] * size[1]:
            raise BadAnnotation(
                f"{name} has run lengths that don't fill its {size[0]} x {size[1]} pixels. Export it again.",
                "with broken run lengths",
            )
        return coco_mask.frPyObjects({"size": list(size), "counts": [int(count) for count in counts]}, *size)
    if not isinstance(counts, str):
        raise BadAnnotation(f"{name} has a segmentation without `counts`. Export it again.", "with broken run lengths")
    if counts[:2] in ("b'", 'b"'):
        counts = ast.literal_eval(counts).decode()
    mask = {"size": list(size), "counts": counts.encode()}
    try:
        rle_to_edges(mask, size, name)
    except ValueError as error:
        raise BadAnnotation(str(error), "with broken run lengths") from None
    return mask
