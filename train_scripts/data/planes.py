"""Overlapping segments as planes of an id map: the segments of one plane don't overlap.

Shapes: n segments of an image, P planes, H, W pixels.
"""

from collections.abc import Sequence

import numpy as np

from eomt.train_scripts.data.run_lengths import mask_areas, mask_columns

VOID = 0  # the id of no segment


def stack_rles(rles: Sequence[dict], ids: Sequence[int], size: tuple[int, int]) -> np.ndarray:
    """Masks in COCO's run lengths -> a map of ids.

    A segment lies in a plane behind those of all smaller segments that it overlaps, so that small ones show when the planes are
    flattened.

    Args:
        rles: n masks of `size`, checked.
        ids: n, of at least 1.
        size: (H, W).

    Returns:
        (H, W) int32 if no two segments overlap, else (P, H, W).
    """
    smallest_first = np.argsort(mask_areas(rles), kind="stable")
    planes = [np.zeros(size, dtype=np.int32)]
    for index in smallest_first:
        columns, mask = mask_columns(rles[index], size)
        overlapped = [number for number, plane in enumerate(planes) if plane[:, columns][mask].any()]
        number = max(overlapped, default=-1) + 1
        if number == len(planes):
            planes.append(np.zeros(size, dtype=np.int32))
        planes[number][:, columns][mask] = ids[index]
    return planes[0] if len(planes) == 1 else np.stack(planes)


def flatten_planes(id_map: np.ndarray) -> np.ndarray:
    """(P, H, W) or (H, W) -> (H, W). Where segments overlap, the one in the earlier plane shows."""
    if id_map.ndim == 2:
        return id_map
    flat = id_map[-1].copy()
    for plane in id_map[-2::-1]:
        np.copyto(flat, plane, where=plane != VOID)
    return flat
