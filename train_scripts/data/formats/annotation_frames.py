"""The pixels that annotations of an image count: those of the upright photo, or the stored ones, before its EXIF orientation.

Shapes: H, W pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.formats.annotation_notes import AnnotationNotes
from eomt.train_scripts.data.formats.image_files import QUARTERS, image_size, orientation_of
from eomt.train_scripts.data.formats.orientation import turned

TURNED = "images whose annotations were turned with their EXIF orientation"
UPRIGHT = "images with an EXIF orientation, whose annotations were taken to be of the upright photo; else --mask_orientation raw"


@dataclass(frozen=True)
class Frame:
    """
    Args:
        size: (H, W) of what annotations count.
        orientation: by which a mask of this size is turned to lie as the upright photo; 1 for not at all.
    """

    size: tuple[int, int]
    orientation: int = 1

    @property
    def upright_size(self) -> tuple[int, int]:
        """(H, W) of the upright photo."""
        return self.size[::-1] if self.orientation in QUARTERS else self.size

    def upright(self, mask: dict) -> dict:
        """A mask in COCO's compressed run lengths, turned."""
        if self.orientation == 1:
            return mask
        return coco_mask.encode(np.asfortranarray(turned(coco_mask.decode(mask), self.orientation)))


def stated_size(height: Any, width: Any) -> tuple[int, int] | None:
    """(H, W) that an annotation file states; None if it doesn't."""
    try:
        return round(float(height)), round(float(width))
    except (TypeError, ValueError):
        return None


def frame_of(
    path: Path,
    stated: tuple[int, int] | None,
    choice: str | None,
    notes: AnnotationNotes,
    others: Callable[[], str | None] = lambda: "upright",
) -> Frame:
    """
    Args:
        path: of the image.
        stated: (H, W) by the annotations, if they state it.
        choice: `mask_orientation`: "upright", "raw", or None.
        notes: to which is added what the frame was taken to be.
        others: how other images of the same annotations lie, asked where size and choice leave it open.

    Raises:
        BadSample: the image can't be read or has another size, or how its annotations lie can't be determined.
    """
    orientation, upright = orientation_of(path), image_size(path)
    raw = upright[::-1] if orientation in QUARTERS else upright
    if stated and stated not in (upright, raw):
        raise BadSample(
            f"{path}: its annotations are of an image of {stated[1]} x {stated[0]} pixels, but it has {upright[1]} x {upright[0]}. "
            "Give the image that was annotated."
        )
    if orientation == 1 or stated and raw != upright and stated == upright:
        return Frame(upright)
    if stated and raw != upright:
        choice = "raw"
    elif not choice:
        choice = others()
        if not choice:
            raise BadSample(
                f"{path} is turned by its EXIF orientation, and sizes don't say whether its annotations are of the upright photo "
                "or of the stored pixels. Look at it and give --mask_orientation upright or --mask_orientation raw."
            )
        notes.repaired[UPRIGHT] += choice == "upright"
    if choice == "upright":
        return Frame(upright)
    notes.repaired[TURNED] += 1
    return Frame(raw, orientation)


def frame_by_sizes(path: Path, stated: tuple[int, int] | None) -> str | None:
    """How annotations lie by the sizes alone: "upright", "raw", or None where these leave it open."""
    try:
        if not stated or stated[0] == stated[1] or orientation_of(path) not in QUARTERS:
            return None
        upright = image_size(path)
    except BadSample:  # which is said where the image is read
        return None
    return "upright" if stated == upright else "raw" if stated == upright[::-1] else None
