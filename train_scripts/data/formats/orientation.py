"""Masks of photos that are turned by their EXIF orientation: whether they were drawn on the upright photo or on its stored pixels.

The sizes say so where a photo that isn't square is turned by a quarter. A dataset that has such photos says so for the others, too.
Where none does, an option has to.

Shapes: H, W pixels.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.formats.image_files import ORIENTATION, QUARTERS, orientation_of

CHOICES = ("upright", "raw")
TURNED = "masks turned with the EXIF orientation of their photos"


def turned(values: np.ndarray, orientation: int) -> np.ndarray:
    """(H, W) as stored -> upright."""
    turns = {
        2: np.fliplr,
        3: lambda array: np.rot90(array, 2),
        4: np.flipud,
        5: np.transpose,
        6: lambda array: np.rot90(array, -1),
        7: lambda array: np.rot90(array.T, 2),
        8: np.rot90,
    }
    return turns[orientation](values) if orientation in turns else values


def mask_turns(pairs: Sequence[tuple[str, Path, Path]], choice: str | None) -> dict[str, int]:
    """The orientations by which masks have to be turned to lie as their upright photos.

    Args:
        pairs: stem, image and mask.
        choice: one of `CHOICES`; None to go by the sizes.

    Returns:
        {stem: orientation} of the masks that lie as the stored pixels.

    Raises:
        ValueError: the sizes leave it open.
    """
    turns, raw, upright, unclear = {}, 0, 0, []
    for stem, image, mask in pairs:
        orientation = _orientation_or_none(image)
        if orientation in (None, 1) or mask.suffix.lower() == ".npy" or _orientation_or_none(mask) != 1:
            continue  # a mask with a tag of its own is turned by it
        stored, of_mask = _stored_size(image), _stored_size(mask)
        if orientation not in QUARTERS or stored[0] == stored[1]:
            unclear.append((stem, orientation, image))
        elif of_mask == stored:
            turns[stem] = orientation
            raw += 1
        else:
            upright += of_mask == stored[::-1]
    choice = choice or ("raw" if raw and not upright else "upright" if upright and not raw else None)
    if unclear and not choice:
        raise ValueError(
            f"{len(unclear)} photos, of which the first is {unclear[0][2]}, are turned by their EXIF orientation, and the sizes of "
            "their masks don't say whether those were drawn on the upright photo or on the stored pixels. Look at one and give "
            "--mask_orientation upright or --mask_orientation raw"
        )
    return turns | ({stem: orientation for stem, orientation, _ in unclear} if choice == "raw" else {})


def _orientation_or_none(path: Path) -> int | None:
    """The orientation; None of a file that can't be read, which is reported where its pixels are read."""
    try:
        return orientation_of(path)
    except BadSample:
        return None


def _stored_size(path: Path) -> tuple[int, int]:
    """Width and height of the stored pixels."""
    with Image.open(path) as image:
        turned_by_pillow = image.format == "TIFF" and image.getexif().get(ORIENTATION, 1) in QUARTERS
        return image.size[::-1] if turned_by_pillow else image.size
