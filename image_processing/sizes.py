"""Where an image lies in the model's input: resized, then cut into windows or padded. Processors and post-processing share this.

content  the size (h, w) an image is resized to
canvas   the size (h, w) of the model's input: the content, or a window of it, and black pixels at the right and bottom
target   the size (H, W) a result is wanted at, as a rule the original image's
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from transformers.image_transforms import get_size_with_aspect_ratio
from transformers.image_utils import SizeDict

Size = tuple[int, int]  # height, width
Window = tuple[int, int]  # first and one past the last pixel along the content's long side


@dataclass(frozen=True)
class Layout:
    """How one image lies in the model's input, or in several inputs of one size when it is split."""

    content: Size
    canvas: Size
    windows: tuple[Window, ...] | None = None  # None: not split

    def crops(self) -> list[tuple[slice, slice]]:
        """The rows and columns of the content that each model input shows."""
        if self.windows is None:
            return [(slice(None), slice(None))]
        return [crop_of(self.content, window) for window in self.windows]


def crop_of(content: Size, window: Window) -> tuple[slice, slice]:
    """Rows and columns of a window: it runs along the long side and covers the short one."""
    along = slice(*window)
    return (along, slice(None)) if content[0] > content[1] else (slice(None), along)


def image_layout(image_size: Size, size: SizeDict | dict, do_resize: bool, do_split: bool, do_pad: bool) -> Layout:
    """The layout of an image under a processor's settings.

    Args:
        image_size: height and width of the image.
        size: the setting of that name, see [`canvas_size`] and [`content_size`].
        do_resize: False leaves the content as large as the image.
        do_split: whether windows as wide as the short side of `size` are cut along the content's long side.
        do_pad: whether the canvas is at least `size`, or of windows a square. Larger images stay as they are.

    Raises:
        ValueError: `size` is not usable, see [`canvas_size`].
    """
    content = content_size(image_size, size, fit=do_pad and not do_split) if do_resize else image_size
    side = window_side(size)
    windows = tuple(split(content, side)) if do_split else None
    shown = window_size(content, side) if do_split else content
    if not do_pad:
        return Layout(content, shown, windows)
    return Layout(content, padded_size(shown, (side, side) if do_split else canvas_size(size)), windows)


def canvas_size(size: SizeDict | dict) -> Size:
    """Height and width that `size` pads to. `shortest_edge` is the height and `longest_edge` the width, as in transformers.

    Raises:
        ValueError: `size` has neither `shortest_edge` nor `height` and `width`, or they aren't positive.
    """
    edges = {key: value for key, value in dict(size).items() if value is not None}
    if {"height", "width"} <= edges.keys():
        canvas = edges["height"], edges["width"]
    elif "shortest_edge" in edges:
        canvas = edges["shortest_edge"], edges.get("longest_edge", edges["shortest_edge"])
    else:
        raise ValueError(
            f"size is {edges}, but must have shortest_edge (and longest_edge), or height and width: "
            'for example {"shortest_edge": 640, "longest_edge": 640}.'
        )
    if min(canvas) < 1:
        raise ValueError(f"size is {edges}, but each edge must be a positive number of pixels.")
    return canvas


def window_side(size: SizeDict | dict) -> int:
    """The side of the square windows of a split image: the short side of `size`."""
    return min(canvas_size(size))


def content_size(image_size: Size, size: SizeDict | dict, fit: bool) -> Size:
    """The size an image is resized to. The aspect ratio is kept unless `size` gives `height` and `width`.

    With `shortest_edge` and `longest_edge` the arithmetic, rounding included, is that of transformers'
    `get_size_with_aspect_ratio`. That can exceed the canvas: an upright image does where the canvas is wide. With `fit` such an
    image is scaled down to the canvas; without, its short edge stays `shortest_edge`.
    """
    height, width = canvas_size(size)
    edges = dict(size)
    if edges.get("height") and edges.get("width"):
        return height, width
    h, w = get_size_with_aspect_ratio(image_size, edges["shortest_edge"], edges.get("longest_edge"))
    if fit and edges.get("longest_edge") and (h > height or w > width):
        scale = min(height / image_size[0], width / image_size[1])
        h, w = min(height, round(image_size[0] * scale)), min(width, round(image_size[1] * scale))
    return max(h, 1), max(w, 1)  # an image of one row or column would round to none


def split(content: Size, side: int) -> list[Window]:
    """Evenly spaced windows of `side` pixels, as few as cover the long side (paper A.3).

    They overlap by the excess over the long side, shared out evenly. Starts are rounded down, as in the official code, but exactly:
    in floating point the last window may start a pixel early, and the last pixels would be in none.
    """
    long_side = max(content)
    count = math.ceil(long_side / side)
    starts = [i * (long_side - side) // (count - 1) for i in range(count)] if count > 1 else [0]
    return [(start, start + side) for start in starts]


def window_size(content: Size, side: int) -> Size:
    """Height and width of the windows of a split image, before they are padded."""
    height, width = content
    return (min(height, side), width) if height > width else (height, min(width, side))


def padded_size(size: Size, canvas: Size) -> Size:
    """The size after padding, which only adds: an edge longer than the canvas stays."""
    return max(size[0], canvas[0]), max(size[1], canvas[1])


def check_target_sizes(target_sizes: Sequence[Size], count: int | None) -> list[Size]:
    """`target_sizes` as (height, width) integers, one for each of `count` images (any number when None)."""
    targets = [(int(height), int(width)) for height, width in target_sizes]
    if count is not None and len(targets) != count:
        raise ValueError(f"target_sizes has {len(targets)} entries for {count} images. Pass one (height, width) for each image.")
    if any(min(target) < 1 for target in targets):
        raise ValueError(f"target_sizes is {targets}, but heights and widths must be positive.")
    return targets
