"""Images of 8 to 14 bits that are stored in 16, as microscopes, scanners and cameras write them.

Samples of 16 bits are scaled as if 65535 were white, so that such images would be nearly black; and a model that is trained on
images made brighter here would see them black again where it is used. They are refused.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

LOOKED_AT = 32  # images of a split
SUFFIXES = (".png", ".tif", ".tiff", ".pgm", ".jp2")
DEPTHS = (8, 10, 12, 14)


def refuse_dark_depths(images: Sequence[Path], split: str) -> None:
    """
    Args:
        images: some of a split.
        split: its name, for the error message.

    Raises:
        ValueError: none of its images of 16 bits uses more than 14 of them.
    """
    files = [path for path in images if path.suffix.lower() in SUFFIXES]
    largest = [value for path in files if (value := _largest_deep(path)) is not None]
    if not largest or max(largest) >= 1 << DEPTHS[-1]:
        return
    bits = next(bits for bits in DEPTHS if max(largest) < 1 << bits)
    factor = 1 << 16 - bits
    command = f"magick mogrify -evaluate multiply {factor} {files[0].parent}/*{files[0].suffix}"
    raise ValueError(
        f"split {split!r}: images such as {files[0]} have 16 bits, but no value above {max(largest)}: they are of {bits} bits, and "
        f"would be nearly black. Multiply them by {factor}, those to predict on as well; with ImageMagick: {command}"
    )


def _largest_deep(path: Path) -> int | None:
    """The largest value of a grey image of 16 bits; None of another, or of one that can't be read, which is reported later."""
    try:
        with Image.open(path) as image:
            if image.mode != "I" and not image.mode.startswith("I;16"):
                return None
            return int(np.asarray(image).max())
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
