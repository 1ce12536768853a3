"""Mask logits -> pixels of the target. Two bilinear steps, as in transformers: to the model's input, then to the target.

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
    """(n, h, w) -> (n, *content): resized to the model's input, then without its padding."""
    height, width = layout.content
    return resize_bilinear(mask_logits, layout.canvas)[:, :height, :width]


def upsampled_masks(mask_logits: torch.Tensor, layout: Layout, target: Size) -> Iterator[torch.Tensor]:
    """The (H, W) logits of one query after the other: one plane fits in the processor's cache, all of them don't."""
    for logits in mask_logits:
        plane = to_content(logits[None], layout)
        yield (plane if layout.content == target else resize_bilinear(plane, target))[0]


def rows_under(start: int, end: int, old_height: int, new_height: int) -> tuple[int, int]:
    """The rows of a map that rows `start` to `end` depend on after resizing; ends are exclusive.

    Args:
        start, end: rows of the resized map, of `new_height` rows.
        old_height, new_height: of the map before and after.

    Returns:
        The first and one past the last row of the map before.
    """
    # the centre of a new row, in old rows; the row above and the row below the centre are interpolated
    first, last = (((row + 0.5) * old_height / new_height - 0.5) for row in (start, end - 1))
    return max(0, int(first)), min(old_height, int(max(last, 0.0)) + 2)


def resize_rows(planes: torch.Tensor, size: Size, start: int, end: int, height: int | None = None, first: int = 0) -> torch.Tensor:
    """Rows `start` to `end` of `resize_bilinear(planes, size)`, without computing the others.

    Args:
        planes: (n, h, w), or only the rows of it that these depend on, see [`rows_under`].
        size: height and width of the whole result.
        height: of the whole planes; that of `planes` by default.
        first: which row of the whole planes is the first of `planes`.

    Returns:
        (n, end - start, size[1]).
    """
    height = planes.shape[1] if height is None else height
    # Bilinear resizing is linear along each axis: first the rows are mixed, of which few are needed, then torch does the columns.
    # Half a pixel is added and taken off since pixels are compared by their centres (`align_corners=False`).
    centres = (torch.arange(start, end, device=planes.device) + 0.5) * (height / size[0]) - 0.5
    centres = centres.clamp(min=0, max=height - 1)  # beyond the outermost centres the outermost rows repeat
    above = centres.long()
    below = (above + 1).clamp(max=height - 1)
    upper, lower = planes.index_select(1, above - first), planes.index_select(1, below - first)
    rows = upper.lerp_(lower, (centres - above)[:, None])
    return rows if rows.shape[2] == size[1] else F.interpolate(rows, size=size[1], mode="linear")
