"""What a reader of an annotation format gives to `prepare`, and what readers share.

Shapes: n segments of an image, H, W pixels.
"""

import io
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.samples import BadSample

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".tif", ".tiff", ".bmp", ".webp", ".avif", ".gif")
IMAGE_SUFFIXES += (".jp2", ".pgm", ".ppm", ".pnm")
OUTSIDE = 0.05  # of the image's longer side: a vertex further out belongs to another image or size


@dataclass(frozen=True)
class Options:
    """What annotations of some formats leave open; see the command line of `eomt.train_scripts.prepare`."""

    classes: list[str] = field(default_factory=list)
    stuff: list[str] = field(default_factory=list)
    void: list[int] = field(default_factory=list)
    kind: str | None = None
    class_key: str | None = None


@dataclass(frozen=True)
class Source:
    """
    The images of a split.

    Args:
        labels: the classes.
        items: something small for each image, in the order to be written.
        make_row: item -> a row of `eomt.train_scripts.data.dataset_folder`'s schema; raises BadSample, naming file and reason.
        files_of: item -> the files that its row is made of.
        context: what rows depend on beside labels, items and files.
        problems: what is known to be wrong before any row is made, such as images without annotations.
    """

    labels: Labels
    items: Sequence[Any]
    make_row: Callable[[Any], dict]
    files_of: Callable[[Any], list[Path]]
    context: Any = None
    problems: Sequence[str] = ()


def thing_labels(names: Sequence[str], stuff: Sequence[str]) -> Labels:
    """Classes that are things but for `stuff`; raises ValueError if those aren't among the names, or a name comes twice."""
    if unknown := sorted(set(stuff) - set(names)):
        raise ValueError(f"stuff={list(stuff)} names {unknown}, which are no classes; those are {list(names)}")
    if not names or len(set(names)) < len(names):
        raise ValueError(f"classes={list(names)} must be one or more names, each once")
    return Labels(list(names), [name not in stuff for name in names])


def images_by_stem(folder: Path, suffixes: Sequence[str] = IMAGE_SUFFIXES, name: str = "images") -> dict[str, Path]:
    """{path below `folder` without its suffix: file}, sorted.

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
    """Raises ValueError if two entries are of one file, or of files that differ in their suffix alone: rows have one id each."""
    counts = Counter(Path(name).with_suffix("").as_posix() for name in file_names)
    if twice := [stem for stem, count in counts.items() if count > 1]:
        raise ValueError(
            f"annotations={annotations} has more than one entry of {twice[:5]}, suffixes aside. Merge those of one image, and give "
            "other images other names"
        )


def encoded_file(path: Path) -> dict:
    """An image file as it is stored in a row."""
    if not path.is_file():
        raise BadSample(f"{path}: no such file. Give the folder that belongs to the annotations.")
    return {"bytes": path.read_bytes(), "path": path.name}


def image_size(path: Path) -> tuple[int, int]:
    """(H, W) of an image file, turned by its EXIF orientation, without decoding it."""
    try:
        with Image.open(path) as image:
            # Pillow turns a TIFF's size, but not a JPEG's, before it is decoded
            turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8) and image.format != "TIFF"
            return image.size if turned else image.size[::-1]
    except (OSError, SyntaxError) as error:  # PIL reports some broken files as a SyntaxError
        raise BadSample(f"{path}: can't be read as an image ({error}). Store it again, or take it away.") from error


def read_indices(path: Path) -> np.ndarray:
    """(H, W) int64 values of an index image, of a palette its indices.

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


def encoded_ids(ids: np.ndarray) -> dict:
    """(H, W) ids below 65536 -> a PNG as it is stored in a row."""
    stream = io.BytesIO()
    Image.fromarray(ids.astype(np.uint8 if ids.max(initial=0) < 256 else np.uint16)).save(stream, "PNG")
    return {"bytes": stream.getvalue(), "path": None}


def recoded_map(values: np.ndarray, ids: dict[int, int]) -> dict:
    """(H, W) values -> a stored map of `ids[value]`, 0 for values that aren't there."""
    present, places = np.unique(values, return_inverse=True)
    new = np.array([ids.get(value, 0) for value in present.tolist()], dtype=np.int64)
    return encoded_ids(new[places.reshape(values.shape)])


def row_of_masks(
    image_id: str, image: Path, masks: Sequence[dict | None], categories: Sequence[int], crowd: Iterable[bool]
) -> dict:
    """A row of n masks in COCO's run lengths: as an id map, or as they are where they overlap.

    Masks that are None have no pixel. They are left out, and counted in `dropped`, which is no column.
    """
    kept = [entry for entry in zip(masks, categories, crowd, strict=True) if entry[0] is not None]
    segments = [
        {"id": index + 1, "category": category, "iscrowd": bool(iscrowd)} for index, (_, category, iscrowd) in enumerate(kept)
    ]
    row = {"image_id": image_id, "image": encoded_file(image), "segments": segments, "dropped": len(masks) - len(kept)}
    masks = [mask for mask, _, _ in kept]
    if masks and coco_mask.area(coco_mask.merge(list(masks))) < coco_mask.area(list(masks)).sum() or len(masks) >= 1 << 16:
        return {**row, "id_map": None, "rles": [mask["counts"].decode() for mask in masks]}
    ids = np.zeros(image_size(image), dtype=np.int64)
    for index, mask in enumerate(masks):
        ids[coco_mask.decode(mask).astype(bool)] = index + 1
    return {**row, "id_map": encoded_ids(ids), "rles": None}


def polygon_mask(polygons: Sequence[Sequence[float]], size: tuple[int, int], name: str) -> dict | None:
    """Polygons of one segment -> its mask in COCO's run lengths, drawn as pycocotools does; None if it has no pixel.

    Args:
        polygons: each x0, y0, x1, y1, ... in pixels.
        size: (H, W).
        name: of file and segment, for errors.

    Raises:
        BadSample: a polygon has fewer than three points, or lies outside the image by more than a twentieth of its longer side.
    """
    slack = OUTSIDE * max(size)
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
