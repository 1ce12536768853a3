"""Names of segments in a picture: inside a segment where there is room, else beside it, and never over another small one.

Shapes: H, W pixels of the picture.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

NAME_SIZE = 12  # of the font, pixels
LINE = NAME_SIZE + 2  # height of a name with its outline
COVERED = 0.3  # of a segment, which a name inside it may cover
SMALL = 0.08  # of the picture, below which a segment is small
DENSE = 0.25  # of its bounding box, which a segment with a name beside it fills
SMALLEST = 8  # pixels, the longer side of a segment that gets a name
MOST_ALIKE = 6  # segments of a class in a picture; where there are more, none of them gets a name beside it
Box = tuple[int, int, int, int]  # top, left, bottom, right


def write_names(picture: Image.Image, ids: np.ndarray, classes: Mapping[int, int], names: Sequence[str]) -> None:
    """Writes the names of segments into a picture. A name for which there is no room is left out.

    Args:
        picture: to write into.
        ids: (H, W) segment ids.
        classes: {id: class index} of the segments.
        names: of the classes.
    """
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(NAME_SIZE)
    small = np.zeros(ids.shape, dtype=bool)  # pixels of small segments, over which no name is written
    taken = np.zeros(ids.shape, dtype=bool)  # by names
    counts, beside = Counter(classes.values()), []

    def write(label: int, box: Box) -> None:
        taken[_pixels(box)] = True
        center = (box[1] + box[3]) / 2, (box[0] + box[2]) / 2
        draw.text(center, names[label], "white", font, anchor="mm", stroke_width=2, stroke_fill="black")

    for segment, extent in _extents(ids, classes):
        label, mask = classes[segment], ids[_pixels(extent)] == segment
        width = math.ceil(draw.textlength(names[label], font)) + 4
        is_small = mask.sum() < SMALL * ids.size
        if is_small:
            small[_pixels(extent)] |= mask
        if (box := _box_inside(mask, width)) is not None:
            shifted = (box[0] + extent[0], box[1] + extent[1], box[2] + extent[0], box[3] + extent[1])
            if not taken[_pixels(shifted)].any():
                write(label, shifted)
        elif is_small and max(mask.shape) >= SMALLEST and mask.mean() > DENSE and counts[label] <= MOST_ALIKE:
            beside.append((label, extent, width))
    for label, extent, width in beside:
        free = (box for box in _boxes_beside(extent, width, ids.shape) if not (taken | small)[_pixels(box)].any())
        if (box := next(free, None)) is not None:
            write(label, box)


def _pixels(box: Box) -> tuple[slice, slice]:
    return slice(box[0], box[2]), slice(box[1], box[3])


def _extents(ids: np.ndarray, classes: Mapping[int, int]) -> Iterator[tuple[int, Box]]:
    """The bounding box of each segment that has a pixel."""
    from scipy import ndimage  # here, since only pictures with names need it

    values, numbers = np.unique(ids, return_inverse=True)
    for value, (rows, cols) in zip(values.tolist(), ndimage.find_objects(numbers.reshape(ids.shape) + 1), strict=True):
        if value in classes:
            yield value, (rows.start, cols.start, rows.stop, cols.stop)


def _box_inside(mask: np.ndarray, width: int) -> Box | None:
    """The innermost box of a name that lies wholly in a mask and covers little of it, or None where there is none."""
    from scipy import ndimage

    height, length = mask.shape
    if height < LINE or length < width or LINE * width > COVERED * mask.sum():
        return None
    sums = np.pad(mask, ((1, 0), (1, 0))).cumsum(0).cumsum(1)  # of all pixels above and to the left
    inside = sums[LINE:, width:] - sums[:-LINE, width:] - sums[LINE:, :-width] + sums[:-LINE, :-width]
    fits = inside == LINE * width
    if not fits.any():
        return None
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    centers = depth[LINE // 2 :, width // 2 :][: fits.shape[0], : fits.shape[1]]
    top, left = np.unravel_index(int(np.where(fits, centers, -1).argmax()), fits.shape)
    return int(top), int(left), int(top) + LINE, int(left) + width


def _boxes_beside(extent: Box, width: int, shape: tuple[int, int]) -> Iterator[Box]:
    """Boxes right, left, above and below of a segment that lie in the picture, shifted along an edge where they would leave it."""
    top, left, bottom, right = extent
    height, length = shape
    row = min(max((top + bottom - LINE) // 2, 0), height - LINE)
    col = min(max((left + right - width) // 2, 0), length - width)
    for corner in ((row, right + 1), (row, left - 1 - width), (top - 1 - LINE, col), (bottom + 1, col)):
        box = (corner[0], corner[1], corner[0] + LINE, corner[1] + width)
        if min(corner) >= 0 and box[2] <= height and box[3] <= length:
            yield box
