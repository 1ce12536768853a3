"""Mask logits -> the pixels they are about. Two bilinear steps, as in stock: to the model's input, then to the target.

Shapes: n queries or classes, h, w logits, H, W pixels of the target.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F

from eomt.image_processing.sizes import Layout, Size


def resize_bilinear(planes: torch.Tensor, size: Size) -> torch.Tensor:
    """(n, h, w) -> (n, *size)."""
    return F.interpolate(planes[None], size=size, mode="bilinear", align_corners=False)[0]


def to_content(mask_logits: torch.Tensor, layout: Layout) -> torch.Tensor:
    """(n, h, w) -> (n, *content): as large as the model's input, without its padding."""
    height, width = layout.content
    return resize_bilinear(mask_logits, layout.canvas)[:, :height, :width]


def upsampled_masks(mask_logits: torch.Tensor, layout: Layout, target: Size) -> Iterator[torch.Tensor]:
    """The (H, W) logits of one query after the other: a plane stays in cache, all of them wouldn't fit in it."""
    for logits in mask_logits:
        plane = to_content(logits[None], layout)
        yield (plane if layout.content == target else resize_bilinear(plane, target))[0]


def rows_under(start: int, end: int, old_height: int, new_height: int) -> tuple[int, int]:
    """Which rows of a map of `old_height` are needed for rows `start` to `end` of it resized to `new_height`; ends exclusive."""
    first, last = (((row + 0.5) * old_height / new_height - 0.5) for row in (start, end - 1))
    return max(0, int(first)), min(old_height, int(max(last, 0.0)) + 2)


def resize_rows(planes: torch.Tensor, size: Size, start: int, end: int, height: int | None = None, first: int = 0) -> torch.Tensor:
    """Rows `start` to `end` of `resize_bilinear`, without computing the others.

    Args:
        planes: (n, h, w), or only the rows from `first` on that these need, see [`rows_under`].
        size: what all rows would be resized to.
        height: of the whole planes; `h` by default.

    Returns:
        (n, end - start, size[1]).
    """
    height = planes.shape[1] if height is None else height
    centres = (torch.arange(start, end, device=planes.device) + 0.5) * (height / size[0]) - 0.5
    centres = centres.clamp(min=0, max=height - 1)
    above = centres.long()
    below = (above + 1).clamp(max=height - 1)
    upper, lower = planes.index_select(1, above - first), planes.index_select(1, below - first)
    rows = upper.lerp_(lower, (centres - above)[:, None])
    return rows if rows.shape[2] == size[1] else F.interpolate(rows, size=size[1], mode="linear")
