"""Samples: rows of a dataset, decoded and checked.

Shapes: n segments of an image, P planes of segments that don't overlap, H, W pixels.
"""

import io
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import fsspec
import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps
from torch import Tensor

from eomt.image_processing.pixels import image_to_tensor
from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.planes import VOID, stack_rles
from eomt.train_scripts.data.run_lengths import rle_to_edges

Pixels = TypeVar("Pixels", Tensor, np.ndarray)
MAX_ID = (1 << 24) - 1  # the largest id that an RGB map can hold
SAID: set[str] = set()  # formats of which a file with several images has been reported

logger = logging.getLogger(__name__)


@dataclass
class Sample:
    """An image with its segments. Pixels whose id is not in `segment_ids` are void.

    Invariants: image and map have one size; `len(segment_ids) == len(class_labels) == len(is_crowd)`; ids are unique.
    """

    image_id: str
    image: Tensor  # (3, H, W) uint8
    id_map: Tensor  # (H, W) int32; (P, H, W) where segments overlap
    segment_ids: Tensor  # (n,) int64
    class_labels: Tensor  # (n,) int64
    is_crowd: Tensor  # (n,) bool


def decode_row(row: dict, num_classes: int, source: str) -> Sample:
    """
    Args:
        row: of the columns in `eomt.train_scripts.data.dataset_folder`, images as `{"bytes": ..., "path": ...}`.
        num_classes: class indices must be smaller.
        source: the dataset or files that the row is of, for error messages.

    Returns:
        The image in RGB, upright by its EXIF orientation, and its segments.

    Raises:
        BadSample: an image is broken; the map or a mask has another size or mode; an id isn't in the table, has no pixel or comes
            twice; or a class doesn't exist.
    """
    name = f"{source}: image_id {row['image_id']!r}"
    image = decode_image(row["image"], f"{name}: image")
    table, size = row["segments"], tuple(image.shape[1:])
    if row.get("rles"):
        id_map = _stack_masks(row["rles"], table, size, name)
    else:
        id_map = decode_id_map(row["id_map"], f"{name}: id_map")
    if id_map.shape[-2:] != size:
        raise BadSample(
            f"{name}: id_map is {id_map.shape[0]} x {id_map.shape[1]} pixels, but the (upright) image {size[0]} x {size[1]}. "
            "They must have one size; make the map for this image."
        )
    sample = Sample(
        image_id=row["image_id"],
        image=image,
        id_map=torch.from_numpy(id_map),
        segment_ids=torch.tensor([segment["id"] for segment in table], dtype=torch.int64),
        class_labels=torch.tensor([segment["category"] for segment in table], dtype=torch.int64),
        is_crowd=torch.tensor([segment["iscrowd"] for segment in table], dtype=torch.bool),
    )
    _check_segments(sample, num_classes, name)
    return sample


def decode_image(encoded: dict | None, name: str) -> Tensor:
    """Decodes an image to RGB, upright by its EXIF orientation.

    Args:
        encoded: `{"bytes": ..., "path": ...}`, one of which may be None.
        name: begins the error message.

    Returns:
        (3, H, W) uint8.

    Raises:
        BadSample: the image is broken or empty, or has no 8-bit channels.
    """
    return _decode(encoded, name, _rgb)


def decode_id_map(encoded: dict | None, name: str) -> np.ndarray:
    """Decodes a map of ids, turned by its EXIF orientation.

    Args:
        encoded: `{"bytes": ..., "path": ...}`, one of which may be None.
        name: begins the error message.

    Returns:
        (H, W) int32: the values of a grey image, the indices of one with a palette, R + 256 G + 65536 B of one in RGB.

    Raises:
        BadSample: the map is broken or empty, or has another mode.
    """
    return _decode(encoded, name, _read_id_map)


def present_segments(id_map: Tensor, segment_ids: Tensor) -> Tensor:
    """
    Args:
        id_map: (H, W) or (P, H, W) ids of at least -1.
        segment_ids: (n,) ids.

    Returns:
        (n,) bool, whether a segment has a pixel.
    """
    ids = segment_ids.tolist()
    return torch.from_numpy(_occurring(id_map, ids)[ids])


def _decode(encoded: dict | None, name: str, convert: Callable[[Image.Image, str], Pixels]) -> Pixels:
    try:
        return convert(_open(encoded, name), name)
    except (BadSample, MemoryError):
        raise
    except Exception as error:  # damaged files make PIL raise many kinds
        raise BadSample(f"{name}: can't be decoded ({error!r}). Store a complete image file.") from error


def _open(encoded: dict | None, name: str) -> Image.Image:
    content, path = (encoded or {}).get("bytes"), (encoded or {}).get("path")
    if not content and not path:
        raise BadSample(f"{name} is empty. Store an image file's bytes.")
    try:
        image = Image.open(io.BytesIO(content or read_bytes(path)))
        image.load()
    except (OSError, SyntaxError) as error:  # PIL reports some broken files as a SyntaxError
        raise BadSample(f"{name} {path or ''}: can't be decoded ({error}). Store a complete image file.") from error
    count = getattr(image, "n_frames", 1)
    if count > 1 and image.format not in SAID and image.format != "MPO":  # a camera's MPO has previews beside its photo
        SAID.add(image.format)
        logger.warning(f"{name} {path or ''} holds {count} images: of such a {image.format} the first alone is taken")
    return image


def name_of_file(path: str) -> str:
    """The name of a file, also of one in an archive: a.png of `zip://photos/a.png::hf://datasets/org/name/photos.zip`."""
    return path.split("::")[0].rsplit("/", 1)[-1] if "://" in path else Path(path).name


def read_bytes(path: str) -> bytes:
    """The content of a file here, or of one that fsspec reads: `datasets` names images in archives and on the Hub by such paths."""
    if "://" in path:
        with fsspec.open(path, "rb") as file:
            return file.read()
    return Path(path).read_bytes()


def _rgb(image: Image.Image, name: str) -> Tensor:
    """(3, H, W) uint8. An upright RGB image is taken as it is; the image processor converts any other."""
    plain = image.mode == "RGB" and "transparency" not in image.info
    if plain and image.getexif().get(ExifTags.Base.Orientation, 1) == 1:
        return torch.from_numpy(np.array(image)).permute(2, 0, 1)
    pixels = image_to_tensor(image, name)
    if pixels.dtype != torch.uint8:
        raise BadSample(
            f"{name} has pixels of {pixels.dtype} (mode {image.mode}), from {pixels.min():.4g} to {pixels.max():.4g}. Store it "
            "with 8 bits a channel: all images scaled alike, so that 0 is black and 255 white."
        )
    return pixels


def _read_id_map(image: Image.Image, name: str) -> np.ndarray:
    """(H, W) int32 ids of a decoded map."""
    image = ImageOps.exif_transpose(image)
    if image.mode == "RGB":
        channels = np.asarray(image).astype(np.int32)
        return channels[..., 0] + 256 * channels[..., 1] + 65536 * channels[..., 2]
    if image.mode not in ("1", "L", "P", "I") and not image.mode.startswith("I;16"):
        raise BadSample(f"{name} has the mode {image.mode}. It must be 8-bit or 16-bit grey, or RGB for id = R + 256 G + 65536 B.")
    return np.asarray(image).astype(np.int32)


def _stack_masks(rles: Sequence[str], table: Sequence[dict], size: tuple[int, int], name: str) -> np.ndarray:
    """(H, W) or (P, H, W) ids of n masks in COCO's compressed run lengths, checked."""
    if len(rles) != len(table):
        raise BadSample(f"{name}: rles has {len(rles)} entries, but segments {len(table)}. Give each segment its own.")
    if wrong := sorted({segment["id"] for segment in table if segment["id"] <= VOID}):
        raise BadSample(f"{name}: segments has the ids {wrong}; beside rles they must be at least {VOID + 1}.")
    masks = [{"size": list(size), "counts": rle.encode()} for rle in rles]
    for index, mask in enumerate(masks):
        try:
            rle_to_edges(mask, size, f"{name}: rles[{index}]")
        except ValueError as error:
            raise BadSample(str(error)) from None
    return stack_rles(masks, [segment["id"] for segment in table], size)


def _check_segments(sample: Sample, num_classes: int, name: str) -> None:
    ids, labels = sample.segment_ids.tolist(), sample.class_labels.tolist()
    if wrong := sorted({label for label in labels if not 0 <= label < num_classes}):
        raise BadSample(f"{name}: segments have the categories {wrong}; allowed are 0..{num_classes - 1} (labels.json).")
    if len(set(ids)) != len(ids):
        raise BadSample(f"{name}: segments has an id twice: {sorted(ids)}. Give each segment its own.")
    if wrong := sorted(i for i in ids if not 0 <= i <= MAX_ID):
        raise BadSample(f"{name}: segments have the ids {wrong}; allowed are 0..{MAX_ID}.")
    occurring = _occurring(sample.id_map, ids)
    if absent := [i for i in ids if not occurring[i]]:
        raise BadSample(f"{name}: the segments {absent} have no pixel in id_map. Leave them out of the table.")
    occurring[[VOID, *ids]] = False
    if occurring.any():
        unknown = np.flatnonzero(occurring)[:10].tolist()
        raise BadSample(f"{name}: id_map has the ids {unknown}, which segments lacks. List them, or set their pixels to {VOID}.")


def _occurring(id_map: Tensor, segment_ids: Sequence[int]) -> np.ndarray:
    """A table: id -> whether a pixel has it. The last entry serves the id -1. A table costs less than sorting the pixels."""
    ids = id_map.numpy()
    occurring = np.zeros(max(int(ids.max(initial=0)), *segment_ids, 0) + 2, dtype=bool)
    occurring[ids.ravel()] = True
    return occurring
