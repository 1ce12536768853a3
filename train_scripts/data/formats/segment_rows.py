"""Segments as rows store them: ids as a PNG, or overlapping masks as run lengths.

Shapes: n segments of an image, H, W pixels.
"""

import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from eomt.train_scripts.data.formats.image_files import encoded_file
from eomt.train_scripts.data.run_lengths import rles_to_ids


def encoded_ids(ids: np.ndarray) -> dict:
    """(H, W) ids below 65536 -> a map as a row stores it, an 8-bit or 16-bit PNG."""
    stream = io.BytesIO()
    Image.fromarray(ids.astype(np.uint8 if ids.max(initial=0) < 256 else np.uint16)).save(stream, "PNG")
    return {"bytes": stream.getvalue(), "path": None}


def recoded_map(values: np.ndarray, ids: dict[int, int]) -> dict:
    """(H, W) values -> a map of `ids[value]` as a row stores it. The id of values that `ids` lacks is 0, void."""
    present, indices = np.unique(values, return_inverse=True)
    new_ids = np.array([ids.get(value, 0) for value in present.tolist()], dtype=np.int64)
    return encoded_ids(new_ids[indices.reshape(values.shape)])


def row_of_masks(
    image_id: str,
    image: Path | dict,
    size: tuple[int, int],
    masks: Sequence[dict | None],
    categories: Sequence[int],
    crowd: Iterable[bool],
) -> dict:
    """A row of masks in COCO's run lengths. It stores them as an id map, or, where they overlap, as they are.

    Args:
        image_id, image: name and file of the image, or the file's content as a row stores it.
        size: (H, W) of image and masks.
        masks: n. Those that are None have no pixel and are left out.
        categories, crowd: n class indices, and whether a segment is a crowd.

    Returns:
        A row, and in it `dropped`, which is no column: how many masks were left out.
    """
    segments = [segment for segment in zip(masks, categories, crowd, strict=True) if segment[0] is not None]
    kept = [mask for mask, _, _ in segments]
    row = {
        "image_id": image_id,
        "image": image if isinstance(image, dict) else encoded_file(image),
        "segments": [
            {"id": index + 1, "category": category, "iscrowd": bool(iscrowd)}
            for index, (_, category, iscrowd) in enumerate(segments)
        ],
        "dropped": len(masks) - len(kept),
    }
    ids = rles_to_ids(kept, size) if len(kept) < 1 << 16 else None  # an id map has no room for more ids than 16 bits
    if ids is None:
        return {**row, "id_map": None, "rles": [mask["counts"].decode() for mask in kept]}
    return {**row, "id_map": encoded_ids(ids), "rles": None}
