"""Which window belongs to which image, and where in it."""

from collections.abc import Iterable, Sequence

import torch


def read_offsets(patch_offsets: Iterable | None) -> list[tuple[int, int, int]]:
    """`patch_offsets` as (image, first pixel, one past the last pixel), from tensors, lists or tuples.

    Empty when images were not split.

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
    """Raises ValueError unless there is an offset a window, and a window for each image and no other."""
    images = {image for image, _, _ in offsets}
    if len(offsets) != num_windows or images != set(range(num_images)):
        raise ValueError(
            f"patch_offsets has {len(offsets)} windows of the images {sorted(images)}, but the outputs are of "
            f"{num_windows} windows and target_sizes of {num_images} images. Pass outputs, offsets and sizes of one batch."
        )
