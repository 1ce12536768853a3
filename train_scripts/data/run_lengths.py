"""Masks as COCO's run lengths: from an id map without a mask a segment, and back to numbers, checked.

Run lengths go column by column and alternate, background first. A mask's `edges` are where its runs start and end, (2r,) for
r runs, as pixel numbers in that order.
"""

from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco_mask
from torch import Tensor


def segments_to_rles(id_map: Tensor, ids: Sequence[int]) -> list[dict]:
    """
    Args:
        id_map: (H, W) integers, or (P, H, W), P planes of segments that don't overlap.
        ids: n.

    Returns:
        Each id's pixels as `{"size": [H, W], "counts": bytes}`, as pycocotools has them.
    """
    if id_map.ndim == 3:
        by_plane = [segments_to_rles(plane, ids) for plane in id_map]
        planes = np.stack([coco_mask.area(rles) for rles in by_plane]).argmax(0) if len(ids) else ()
        return [by_plane[plane][segment] for segment, plane in enumerate(planes)]
    size = list(id_map.shape)
    columns = id_map.cpu().numpy().ravel(order="F")
    starts = np.flatnonzero(columns[1:] != columns[:-1]) + 1
    starts = np.concatenate([[0], starts]) if len(columns) else starts
    ends = np.append(starts[1:], len(columns))
    owners = columns[starts]
    order = np.argsort(owners, kind="stable")  # each id's runs together, and in their order
    bounds = [np.searchsorted(owners[order], ids, side) for side in ("left", "right")]
    runs = [order[first:last] for first, last in zip(*bounds, strict=True)]
    return [edges_to_rle(np.stack([starts[run], ends[run]], 1).ravel(), size) for run in runs]


def edges_to_rle(edges: np.ndarray, size: list[int]) -> dict:
    counts = np.diff(edges, prepend=0, append=size[0] * size[1])
    counts = counts[:-1] if counts[-1] == 0 else counts  # nothing after the last run
    return coco_mask.frPyObjects({"size": size, "counts": counts}, *size)


def rle_to_edges(rle: dict, size: Sequence[int], name: str) -> np.ndarray:
    """The edges of a mask, after a check that pycocotools, which reads past the end of broken ones, leaves out.

    The bytes are numbers in groups of 5 bits, lowest first, a sixth bit saying that more follow; the last group's highest bit is
    the sign. From the fourth on, numbers are differences from the last but one.

    Args:
        rle: of COCO's compressed form.
        size: (H, W) that it must have.
        name: for error messages.

    Raises:
        ValueError: it has another size or form, or its runs don't fill the image.
    """
    if not isinstance(rle, dict) or not isinstance(rle.get("counts"), bytes) or list(rle.get("size", ())) != list(size):
        raise ValueError(
            f"{name} must be {{'size': {list(size)}, 'counts': bytes}}, the size being the truth's; it is {rle!r:.80}."
        )
    groups = np.frombuffer(rle["counts"], dtype=np.uint8).astype(np.int64) - 48
    final = groups & 32 == 0
    lasts = np.flatnonzero(final)
    firsts = np.concatenate([[0], lasts[:-1] + 1])
    if len(lasts) and final[-1] and 0 <= groups.min() <= groups.max() < 64 and (lasts - firsts).max() < 7:
        position = np.arange(len(groups)) - np.repeat(firsts, lasts - firsts + 1)
        counts = np.add.reduceat((groups & 31) << 5 * position, firsts)
        counts -= (groups[lasts] & 16) << 5 * (lasts - firsts) + 1
        counts[1::2] = counts[1::2].cumsum()
        counts[2::2] = counts[2::2].cumsum()
        edges = counts.cumsum()
        if counts.min() >= 0 and edges[-1] == size[0] * size[1]:
            return edges[: len(edges) // 2 * 2]
    raise ValueError(f"{name} has broken counts: their runs must fill {size[0]} x {size[1]} pixels. Encode masks with pycocotools.")
