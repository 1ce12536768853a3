"""Mask logits -> rows of the target. Two bilinear steps, as in transformers: to the model's input, then to the target.

The numbers are those of `torch.nn.functional.interpolate` on the whole planes, up to rounding, which there too depends on the size
and on the number of threads.

Shapes: n queries or classes, h, w logits, H, W pixels of the target.
"""

import math

import torch
import torch.nn.functional as F

from eomt.image_processing.sizes import Layout, Size

SUPPORT = 3  # successive logits, along either axis, that a pixel of the target depends on at most


def upsampled_rows(mask_logits: torch.Tensor, layout: Layout, target: Size, start: int, end: int) -> torch.Tensor:
    """(n, h, w) -> (n, end - start, W): the logits of some rows of the target. Padding is left out."""
    (first, last), (content_first, content_last) = logit_rows(mask_logits.shape[1], layout, target, start, end)
    (height, width), old = layout.content, mask_logits.shape[1]
    rows = resize_rows(mask_logits[:, first:last], layout.canvas, content_first, content_last, old, first)[:, :, :width]
    return resize_rows(rows, target, start, end, height, content_first)


def logit_rows(height: int, layout: Layout, target: Size, start: int, end: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """The rows of the logits, and those of the content, that rows `start` to `end` of the target depend on; ends are exclusive."""
    content = rows_under(start, end, layout.content[0], target[0])
    return rows_under(*content, height, layout.canvas[0]), content


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


def rows_over(start: int, end: int, old_height: int, new_height: int) -> tuple[int, int]:
    """The reverse of [`rows_under`]: the rows of the resized map that depend on rows `start` to `end` of the map before."""
    first, last = ((edge * new_height / old_height - 0.5) for edge in (start - 0.5, end + 0.5))
    return max(0, math.floor(first)), min(new_height, math.ceil(last))


def resize_rows(planes: torch.Tensor, size: Size, start: int, end: int, height: int | None = None, first: int = 0) -> torch.Tensor:
    """Rows `start` to `end` of the planes resized to `size`, without computing the others.

    Args:
        planes: (n, h, w), or only the rows of it that these depend on, see [`rows_under`].
        size: height and width of the whole result.
        height: of the whole planes; that of `planes` by default.
        first: which row of the whole planes is the first of `planes`.

    Returns:
        (n, end - start, size[1]).
    """
    height = planes.shape[1] if height is None else height
    if planes.shape[2] != size[1]:  # bilinear resizing is linear along each axis: first the columns, of few rows
        planes = F.interpolate(planes, size=size[1], mode="linear")
    if height == size[0]:
        return planes[:, start - first : end - first]
    # Half a pixel is added and taken off since pixels are compared by their centres (`align_corners=False`).
    centres = (torch.arange(start, end, device=planes.device) + 0.5) * (height / size[0]) - 0.5
    # Beyond the outermost centres the outermost rows repeat. A centre on a row of `planes` may be rounded to just outside of them.
    last = first + planes.shape[1] - 1
    centres = centres.clamp_(min=first, max=last)
    above = centres.long()
    below = (above + 1).clamp_(max=last)
    upper, lower = planes.index_select(1, above - first), planes.index_select(1, below - first)
    return upper.lerp_(lower, (centres - above)[:, None])
