"""Pictures of images with their segments: an overlay, and a grid of images, truths and predictions.

Each class has a colour. Stuff is drawn in it, and the instances of a thing in shades of it, in turn. Void is darkened.

Shapes: C classes, H, W pixels.
"""

import colorsys
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from eomt.image_processing.name_tags import NAME_SIZE, write_names

CELL = 336  # pixels, the long side of an image in a grid: three times the demo's scenes
GAP, GROUP_GAP = 8, 28  # between an image and its parts, and between images side by side
SHAPE = 1.1  # width over height that a grid comes near: of two shapes, screens suit the wider one
TITLE_SIZE = 17  # of the font, pixels
GOLDEN = 0.618034  # of the circle of hues lies between a class and the next: the golden ratio keeps any few neighbours apart
SHADES = ((0.0, 1.0), (0.035, 0.78), (-0.035, 0.9), (0.02, 0.62), (-0.02, 0.7))  # of a class's instances: hue shift, brightness
OPACITY = 0.55  # of the segments over the image


@dataclass
class Segmentation:
    """Segments to draw: (H, W) ids, and the class index of each id that is a segment; other ids are void."""

    id_map: Tensor
    classes: Mapping[int, int]

    @classmethod
    def of_result(cls, result: Mapping) -> "Segmentation":
        """From what `post_process_panoptic_segmentation` gives for an image."""
        return cls(result["segmentation"], {info["id"]: info["label_id"] for info in result["segments_info"]})


@dataclass
class GridRow:
    """One image, (3, H, W) uint8, with its truth and, but for a grid of truths alone, prediction of the same size."""

    image: Tensor
    truth: Segmentation
    prediction: Segmentation | None = None

    @property
    def parts(self) -> list[Segmentation]:
        return [part for part in (self.truth, self.prediction) if part is not None]


def class_color(label: int, isthing: list[bool], instance: int = 0) -> tuple[int, int, int]:
    """RGB of class `label`, or of an instance of it. Stuff is paler than things and has one colour.

    The hues of things, and those of stuff, lie evenly around the circle. Neighbours in the list of classes are far apart.
    """
    thing = isthing[label]
    count, rank = isthing.count(thing), isthing[:label].count(thing)
    # a step without a common divisor with the number of hues reaches each of them once; of these, the nearest to GOLDEN
    steps = [step for step in range(1, count + 1) if math.gcd(step, count) == 1]
    step = min(steps, key=lambda step: abs(step - GOLDEN * count))
    shift, brightness = SHADES[instance % len(SHADES)] if thing else (0.5 / count, 0.8)
    hue = (rank * step / count + shift) % 1
    rgb = colorsys.hsv_to_rgb(hue, 0.85 if thing else 0.4, brightness)
    return tuple(round(255 * channel) for channel in rgb)


def draw_segments(
    image: Tensor,
    segmentation: Segmentation,
    names: Sequence[str],
    isthing: list[bool],
    size: tuple[int, int] | None = None,
) -> Image.Image:
    """Draws the segments over an image, with contours, and with names in or beside them where there is room.

    Args:
        image: (3, H, W) uint8.
        segmentation: segments of the image.
        names, isthing: of the C classes.
        size: (width, height) of the picture, as in PIL; by default the image's size.

    Raises:
        ValueError: the map has another size than the image, or a class doesn't exist.
    """
    ids = segmentation.id_map.cpu().numpy()
    if ids.shape != tuple(image.shape[1:]):
        raise ValueError(f"id_map is {ids.shape}, but the image {tuple(image.shape[1:])} pixels. They must have one size.")
    if wrong := [label for label in segmentation.classes.values() if not 0 <= label < len(names)]:
        raise ValueError(f"classes has the class indices {wrong}; allowed are 0..{len(names) - 1}, as many as names has.")
    picture = _picture(image, size)
    ids = _enlarged(ids, picture.size)
    pixels = np.asarray(picture).astype(np.float32)
    layer = pixels * 0.25  # void
    for segment, color in _colors(segmentation.classes, isthing).items():
        inside = ids == segment
        layer[inside] = (1 - OPACITY) * pixels[inside] + OPACITY * np.array(color, np.float32)
    layer[_contours(ids)] = 255
    picture = Image.fromarray(layer.round().astype(np.uint8))
    write_names(picture, ids, segmentation.classes, names)
    return picture


def picture_grid(
    rows: Sequence[GridRow],
    path: str | Path,
    names: Sequence[str],
    isthing: list[bool],
    titles: Sequence[str] = ("image", "truth", "prediction"),
) -> None:
    """Writes a PNG about as wide as high: images beside their truths and predictions, and a legend of the classes that occur.

    Args:
        rows: the images, each with truth and, if there is any, prediction. All have as many parts as there are titles.
        path: of the PNG.
        names, isthing: of the C classes.
        titles: of an image and its parts.

    Raises:
        ValueError: there are no rows, or a map doesn't fit its image.
    """
    if not rows:
        raise ValueError("rows is empty. Give at least one image.")
    cells = [_row_cells(row, names, isthing) for row in rows]
    seen = {label for row in rows for part in row.parts for label in part.classes.values()}
    header, group = TITLE_SIZE + 2 * GAP, len(titles) * (CELL + GAP) + GROUP_GAP
    columns = _columns([row[0].height for row in cells], group, header + 2 * TITLE_SIZE)
    lines = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    width = columns * group - GROUP_GAP + GAP
    legend = _legend(sorted(seen), names, isthing, width)
    height = header + sum(max(row[0].height for row in line) + GAP for line in lines) + legend.height
    grid = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(grid)
    lefts = [[GAP + column * group + part * (CELL + GAP) for part in range(len(titles))] for column in range(columns)]
    for left, title in ((left, title) for column in lefts for left, title in zip(column, titles, strict=True)):
        draw.text((left + CELL / 2, header / 2), title, "black", _font(TITLE_SIZE), anchor="mm")
    top = header
    for line in lines:
        for column, row in zip(lefts, line, strict=False):  # the last line may be shorter
            for left, cell in zip(column, row, strict=True):
                grid.paste(cell, (left + (CELL - cell.width) // 2, top))
        top += max(row[0].height for row in line) + GAP
    grid.paste(legend, (0, top))
    grid.save(path, "PNG")  # optimising takes six times as long, for a file 4% smaller


def _columns(heights: Sequence[int], width: int, more: int) -> int:
    """How many images of these heights side by side, each `width` wide with its parts, make a grid about as wide as high.

    `more` pixels of height are for what is above and below.
    """

    def ratio(columns: int) -> float:
        lines = [heights[start : start + columns] for start in range(0, len(heights), columns)]
        return columns * width / (more + sum(max(line) + GAP for line in lines))

    return min(range(1, len(heights) + 1), key=lambda columns: abs(math.log(ratio(columns) / SHAPE)))


def _row_cells(row: GridRow, names: Sequence[str], isthing: list[bool]) -> list[Image.Image]:
    height, width = row.image.shape[1:]
    scale = CELL / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    overlays = [draw_segments(row.image, part, names, isthing, size) for part in row.parts]
    return [_picture(row.image, size), *overlays]


def _picture(image: Tensor, size: tuple[int, int] | None) -> Image.Image:
    picture = Image.fromarray(np.ascontiguousarray(image.permute(1, 2, 0).numpy()))
    return picture if size in (None, picture.size) else picture.resize(size, Image.Resampling.BICUBIC)


def _enlarged(ids: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    rows = (np.arange(size[1]) * ids.shape[0]) // size[1]
    cols = (np.arange(size[0]) * ids.shape[1]) // size[0]
    return ids[rows[:, None], cols]


def _colors(classes: Mapping[int, int], isthing: list[bool]) -> dict[int, tuple[int, int, int]]:
    """{id: RGB}, instances of a class counted in the order of their ids."""
    counts, colors = {}, {}
    for segment, label in sorted(classes.items()):
        colors[segment] = class_color(label, isthing, counts.get(label, 0))
        counts[label] = counts.get(label, 0) + 1
    return colors


def _contours(ids: np.ndarray) -> np.ndarray:
    """Pixels whose right or lower neighbour has another id."""
    edges = np.zeros(ids.shape, dtype=bool)
    edges[:, :-1] = ids[:, :-1] != ids[:, 1:]
    edges[:-1] |= ids[:-1] != ids[1:]
    return edges


def _legend(labels: Sequence[int], names: Sequence[str], isthing: list[bool], width: int) -> Image.Image:
    """Swatches and names of classes, in as many lines as they need."""
    font, line = _font(NAME_SIZE + 2), NAME_SIZE + 10
    corners, x, y = [], GAP, GAP
    for label in labels:
        length = 22 + round(font.getlength(names[label])) + 2 * GAP
        if x + length > width and x > GAP:
            x, y = GAP, y + line
        corners.append((x, y))
        x += length
    legend = Image.new("RGB", (width, y + line + GAP), "white")
    draw = ImageDraw.Draw(legend)
    for label, (x, y) in zip(labels, corners, strict=True):
        draw.rectangle((x, y, x + 15, y + 15), class_color(label, isthing), "black")
        draw.text((x + 22, y + 8), names[label], "black", font, anchor="lm")
    return legend


def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)
