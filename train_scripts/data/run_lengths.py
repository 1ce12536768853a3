"""Masks as COCO's run lengths: made from an id map without a mask for each segment, and decoded to numbers after a check.

Run lengths count the pixels of alternating runs of background and mask. They go column by column and start with background. The
`edges` of a mask are the pixel numbers, in the same order, at which its runs start and end.

Shapes: n segments, P planes of segments that don't overlap, H, W pixels, r runs of a mask.
"""

from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco_mask
from torch import Tensor


def mask_areas(rles: Sequence[dict]) -> np.ndarray:
    """The pixels of each mask, int64 (n,). With NumPy 2, `pycocotools.mask.area` fails on a list of more than 255."""
    return np.array([coco_mask.area(rle) for rle in rles], dtype=np.int64)


def segments_to_rles(id_map: Tensor, ids: Sequence[int]) -> list[dict]:
    """
    Args:
        id_map: (H, W) or (P, H, W) integers.
        ids: n. An id may lack pixels, and lies in one plane at most.

    Returns:
        The pixels of each id, as pycocotools stores a mask: `{"size": [H, W], "counts": bytes}`.
    """
    if id_map.ndim == 3:
        rles = [segments_to_rles(plane, ids) for plane in id_map]
        plane_of = np.stack([mask_areas(of_plane) for of_plane in rles]).argmax(0) if len(ids) else ()  # (n,)
        return [rles[plane][index] for index, plane in enumerate(plane_of)]
    size = list(id_map.shape)
    pixels = id_map.cpu().numpy().ravel(order="F")  # column by column
    starts = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    starts = np.concatenate([[0], starts]) if len(pixels) else starts
    ends = np.append(starts[1:], len(pixels))
    run_ids = pixels[starts]
    # a stable sort brings the runs of an id together and keeps their order, so that a search gives those of each
    order = np.argsort(run_ids, kind="stable")
    bounds = [np.searchsorted(run_ids[order], ids, side) for side in ("left", "right")]
    runs = [order[first:last] for first, last in zip(*bounds, strict=True)]
    return [edges_to_rle(np.stack([starts[run], ends[run]], 1).ravel(), size) for run in runs]


def edges_to_rle(edges: np.ndarray, size: list[int]) -> dict:
    """(2r,) rising edges of a mask of `size`, [H, W] -> its compressed run lengths."""
    counts = np.diff(edges, prepend=0, append=size[0] * size[1])
    counts = counts[:-1] if counts[-1] == 0 else counts  # pycocotools stores no empty run after the last
    return coco_mask.frPyObjects({"size": size, "counts": counts}, *size)


def rle_to_edges(rle: dict, size: Sequence[int], name: str) -> np.ndarray:
    """The edges of a mask, (2r,) int64, after a check. pycocotools checks nothing, and reads memory past broken run lengths.

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
    counts = _decode_counts(rle["counts"])
    if counts is not None and counts.min() >= 0 and counts.sum() == size[0] * size[1]:
        edges = counts.cumsum()
        return edges[: len(edges) // 2 * 2]  # of an odd number of runs the last is background, whose end is no edge
    raise ValueError(f"{name} has broken counts: their runs must fill {size[0]} x {size[1]} pixels. Encode masks with pycocotools.")


def mask_columns(rle: dict, size: Sequence[int]) -> tuple[slice, np.ndarray]:
    """The columns in which a mask has pixels, and these (H, w) bool. A small mask in a large image costs little.

    Args:
        rle: checked.
        size: (H, W).
    """
    edges, height = rle_to_edges(rle, size, "a mask"), size[0]
    first, last = (int(edges[0]) // height, -(-int(edges[-1]) // height)) if len(edges) else (0, 0)
    lengths = np.diff(edges, prepend=first * height, append=last * height)
    pixels = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return slice(first, last), pixels.reshape(last - first, height).T


def rles_to_ids(rles: Sequence[dict], size: Sequence[int]) -> np.ndarray | None:
    """Masks -> (H, W) int32, the index of each pixel's mask, counted from 1, and 0 where there is none. None if masks overlap.

    Args:
        rles: n, checked.
        size: (H, W).
    """
    runs = [rle_to_edges(rle, size, f"masks[{index}]").reshape(-1, 2) for index, rle in enumerate(rles)]
    ids = np.repeat(np.arange(1, len(runs) + 1, dtype=np.int32), [len(of_mask) for of_mask in runs])
    edges = np.concatenate([np.zeros((0, 2), dtype=np.int64), *runs])
    kept = np.flatnonzero(edges[:, 0] < edges[:, 1])
    order = kept[np.argsort(edges[kept, 0], kind="stable")]
    edges = edges[order]
    if (edges[1:, 0] < edges[:-1, 1]).any():
        return None
    lengths = np.diff(edges.ravel(), prepend=0, append=size[0] * size[1])  # gaps and masks by turns
    values = np.zeros(len(lengths), dtype=np.int32)
    values[1::2] = ids[order]
    return np.repeat(values, lengths).reshape(size[1], size[0]).T


def _decode_counts(encoded: bytes) -> np.ndarray | None:
    """The run lengths in COCO's compressed form, int64; None if the bytes aren't of that form.

    A byte less 48 has six bits: five of a number, and one that says whether the number goes on in the next byte. The low bits
    come first. The highest bit of the last five is the sign. From the fourth on, a number is a difference from the last but
    one: the run before of the same kind.
    """
    groups = np.frombuffer(encoded, dtype=np.uint8).astype(np.int64) - 48
    lasts = np.flatnonzero(groups & 32 == 0)  # the last group of each number
    firsts = np.concatenate([[0], lasts[:-1] + 1])
    if not len(lasts) or lasts[-1] != len(groups) - 1 or groups.min() < 0 or groups.max() > 63 or (lasts - firsts).max() > 6:
        return None
    shift = np.arange(len(groups)) - np.repeat(firsts, lasts - firsts + 1)  # the index of a group in its number
    counts = np.add.reduceat((groups & 31) << 5 * shift, firsts)
    counts -= (groups[lasts] & 16) << 5 * (lasts - firsts) + 1  # two's complement: less 2^(5 * groups) where the sign is set
    counts[1::2] = counts[1::2].cumsum()
    counts[2::2] = counts[2::2].cumsum()  # not from the first: the third number is no difference
    return counts
