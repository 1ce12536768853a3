"""How many pixels each pair of a true and a predicted segment shares.

Shapes: n true and m predicted segments, H, W pixels.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

CHUNK = 1 << 18  # pixels at a time: their pair indices stay in cache, and memory stays small for any image


def count_overlaps(true_map: Tensor, true_ids: Sequence[int], predicted_map: Tensor, predicted_ids: Sequence[int]) -> np.ndarray:
    """
    Args:
        true_map, predicted_map: (H, W) integer ids of at least -1. Ids that aren't listed are void.
        true_ids, predicted_ids: n and m different ids of at least 0.

    Returns:
        (1 + n, 1 + m) int64 pixel counts. Row 0 and column 0 are void.

    Raises:
        ValueError: the maps differ in size or don't hold integers, or an id is negative or listed twice.
    """
    if true_map.ndim != 2 or true_map.shape != predicted_map.shape:
        raise ValueError(
            f"The predicted map is {tuple(predicted_map.shape)}, but the true one {tuple(true_map.shape)}. Both must be (H, W): "
            "post-process to the size of the truth, with target_sizes."
        )
    true_pixels, true_index = _pixels_and_index(true_map, true_ids, "The true map")
    predicted_pixels, predicted_index = _pixels_and_index(predicted_map, predicted_ids, "The predicted map")
    columns = len(predicted_ids) + 1
    counts = np.zeros((len(true_ids) + 1) * columns, dtype=np.int64)
    for start in range(0, len(true_pixels), CHUNK):
        part = slice(start, start + CHUNK)
        pairs = true_index[true_pixels[part]] * columns + predicted_index[predicted_pixels[part]]
        counts += np.bincount(pairs, minlength=len(counts))
    return counts.reshape(-1, columns)


def _pixels_and_index(id_map: Tensor, ids: Sequence[int], name: str) -> tuple[np.ndarray, np.ndarray]:
    """(H * W,) ids, and a table: id -> 1 + its index in `ids`, 0 for all other ids. A table costs less than sorting the pixels."""
    if id_map.dtype.is_floating_point or id_map.dtype == torch.bool:
        raise ValueError(f"{name} has the dtype {id_map.dtype}; it must hold integer ids.")
    pixels = id_map.cpu().numpy().ravel()
    least = min(int(pixels.min(initial=0)), *ids, 0)
    if least < -1 or min(ids, default=0) < 0 or len(set(ids)) < len(ids):
        raise ValueError(
            f"{name} has the segments {sorted(ids)} and ids from {least}: ids must be unique and at least 0, or -1 for void."
        )
    index = np.zeros(max(int(pixels.max(initial=0)), *ids, 0) + 2, dtype=np.int32)  # the last entry serves the id -1
    index[list(ids)] = np.arange(1, len(ids) + 1)
    return pixels, index
