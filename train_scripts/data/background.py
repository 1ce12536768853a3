"""Void as a class: what no segment covers becomes one segment of stuff, such as the background of instances.

Shapes: H, W pixels.
"""

from dataclasses import replace

import numpy as np
from pycocotools import mask as coco_mask

from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.formats.segment_rows import encoded_ids
from eomt.train_scripts.data.formats.source import Source
from eomt.train_scripts.data.planes import VOID
from eomt.train_scripts.data.samples import decode_id_map, decode_image


def with_background(source: Source, name: str) -> Source:
    """A source in which void is the last class.

    Args:
        source: of a split.
        name: of the class, which is stuff.

    Raises:
        ValueError: the source has a class of that name.
    """
    names = source.labels.names
    if name in names:
        raise ValueError(f"background={name!r} names what is a class already; the classes are {names}. Give void another name")
    labels = Labels([*names, name], [*source.labels.isthing, False])
    return replace(
        source, labels=labels, background=len(names), make_row=lambda item: cover_void(source.make_row(item), len(names))
    )


def cover_void(row: dict, category: int) -> dict:
    """A row in which each pixel is in a segment.

    Args:
        row: of the columns in `eomt.train_scripts.data.dataset_folder`.
        category: of the segment that covers void. There is none where nothing is void.

    Raises:
        BadSample: image or id map can't be decoded.
    """
    cover = _cover_rles if row.get("rles") else _cover_ids
    return cover(row, category)


def _cover_ids(row: dict, category: int) -> dict:
    """Ids are counted anew from 1, so that the map has room for one more."""
    ids = decode_id_map(row["id_map"], f"image_id {row['image_id']!r}: id_map")  # (H, W)
    segments = [{**segment, "id": index + 1} for index, segment in enumerate(row["segments"])]
    new_ids = {VOID: len(segments) + 1} | {segment["id"]: index + 1 for index, segment in enumerate(row["segments"])}
    present, indices = np.unique(ids, return_inverse=True)
    if not set(present.tolist()) <= new_ids.keys():
        return row  # an id that the table lacks is no void, and the row's check reports it
    covered = np.array([new_ids[value] for value in present.tolist()])[indices.reshape(ids.shape)]
    if (covered > len(segments)).any():
        segments.append({"id": len(segments) + 1, "category": category, "iscrowd": False})
    return {**row, "id_map": encoded_ids(covered), "segments": segments}


def _cover_rles(row: dict, category: int) -> dict:
    size = list(decode_image(row["image"], f"image_id {row['image_id']!r}: image").shape[1:])  # [H, W]
    union = coco_mask.decode(coco_mask.merge([{"size": size, "counts": rle.encode()} for rle in row["rles"]]))
    if union.all():
        return row
    void = coco_mask.encode(np.asfortranarray(1 - union))["counts"].decode()
    new_id = 1 + max(segment["id"] for segment in row["segments"])
    segment = {"id": new_id, "category": category, "iscrowd": False}
    return {**row, "rles": [*row["rles"], void], "segments": [*row["segments"], segment]}
