"""Files of images: those of a folder by their stems, and what readers take from one.

Shapes: H, W pixels.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from eomt.train_scripts.data.samples import BadSample

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".tif", ".tiff", ".bmp", ".webp", ".avif", ".gif")
IMAGE_SUFFIXES += (".jp2", ".pgm", ".ppm", ".pnm")


def images_by_stem(folder: Path, suffixes: Sequence[str] = IMAGE_SUFFIXES, name: str = "images") -> dict[str, Path]:
    """The files of a folder and its subfolders, by their stems.

    Args:
        folder: in which they lie.
        suffixes: that they may have, in lower case.
        name: of the argument that is the folder, for error messages.

    Returns:
        {path below `folder` without its suffix: file}, sorted.

    Raises:
        ValueError: the folder is missing or empty, or two files differ in their suffix alone.
    """
    if not folder.is_dir():
        raise ValueError(f"{name}={folder}: no such folder.")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.is_file())
    if not files:
        raise ValueError(f"{name}={folder} has no file that ends in {', '.join(suffixes)}.")
    by_stem = {}
    for path in files:
        stem = path.relative_to(folder).with_suffix("").as_posix()
        if stem in by_stem:
            raise ValueError(
                f"{by_stem[stem]} and {path} have one stem, so that which file belongs to which can't be determined. Take one away."
            )
        by_stem[stem] = path
    return by_stem


def check_names_differ(file_names: Iterable[str], annotations: Path) -> None:
    """Checks that names without their suffixes are unique, since they become the ids of the rows.

    Args:
        file_names: of an annotation file's entries.
        annotations: the file, for the error message.

    Raises:
        ValueError: two entries are of one file, or of files that differ in their suffix alone.
    """
    counts = Counter(Path(name).with_suffix("").as_posix() for name in file_names)
    if twice := [stem for stem, count in counts.items() if count > 1]:
        raise ValueError(
            f"annotations={annotations} has more than one entry of {twice[:5]}, suffixes aside. Merge those of one image, and give "
            "other images other names"
        )


def encoded_file(path: Path) -> dict:
    """An image file as a row stores it.

    Raises:
        BadSample: there is no such file.
    """
    _check_exists(path)
    return {"bytes": path.read_bytes(), "path": path.name}


def image_size(path: Path) -> tuple[int, int]:
    """(H, W) of an image file, turned by its EXIF orientation. A JPEG is not decoded for it; a PNG is, by Pillow.

    Raises:
        BadSample: there is no such file, or it can't be read.
    """
    _check_exists(path)
    try:
        with Image.open(path) as image:
            # before an image is decoded, Pillow turns the size of a TIFF but not of a JPEG
            turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8) and image.format != "TIFF"
            return image.size if turned else image.size[::-1]
    except (OSError, SyntaxError) as error:  # PIL reports some broken files as a SyntaxError
        raise BadSample(f"{path}: can't be read as an image ({error}). Store it again, or take it away.") from error


def read_indices(path: Path) -> np.ndarray:
    """The values of an index image, (H, W) int64; of an image with a palette, the indices.

    Raises:
        BadSample: the file is broken or holds colours.
    """
    try:
        with Image.open(path) as image:
            image.load()
            if image.mode in ("1", "L", "P", "I") or image.mode.startswith("I;16"):
                return np.asarray(image).astype(np.int64)
            mode = image.mode
    except (OSError, SyntaxError) as error:
        raise BadSample(f"{path}: can't be read as an image ({error}). Store it again.") from error
    raise BadSample(f"{path} has the mode {mode}, colours. Store the indices as 8-bit or 16-bit grey, or with a palette.")


def _check_exists(path: Path) -> None:
    if not path.is_file():
        raise BadSample(f"{path}: no such file. Give the folder that belongs to the annotations.")
