"""`patch_offsets`: which image each window belongs to, and which part of its long side the window shows."""

from collections.abc import Iterable, Sequence

import torch


def read_offsets(patch_offsets: Iterable | None) -> list[tuple[int, int, int]]:
    """Reads `patch_offsets` as tuples of (image, first pixel, one past the last pixel); empty when images were not split.

    Args:
        patch_offsets: an entry a window, each a tensor, list or tuple.

    Raises:
        ValueError: an entry isn't three integers.
    """
    entries = [] if patch_offsets is None else list(patch_offsets)
    offsets = [tuple(torch.as_tensor(entry).flatten().tolist()) for entry in entries]
    if wrong := [offset for offset in offsets if len(offset) != 3]:
        raise ValueError(
            f"patch_offsets has the entry {wrong[0]}, but each must be (image index, start, end). "
            "Pass on what the image processor returned."
        )
    return [(int(image), int(start), int(end)) for image, start, end in offsets]


def check_offsets(offsets: Sequence[tuple[int, int, int]], num_windows: int, num_images: int) -> None:
    """Raises ValueError unless each window has an offset and each image, and no other, has a window."""
    images = {image for image, _, _ in offsets}
    if len(offsets) != num_windows or images != set(range(num_images)):
        raise ValueError(
            f"patch_offsets has {len(offsets)} windows of the images {sorted(images)}, but the outputs are of "
            f"{num_windows} windows and target_sizes of {num_images} images. Pass outputs, offsets and sizes of one batch."
        )
