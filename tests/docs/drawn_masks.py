"""Masks of a scene as tools store them: values, colours, outlines, a file an object, panoptic ids."""

from pathlib import Path

import numpy as np
from drawn_scene import CAT, DOG, SIZE, Drawn, Scene, values_of
from PIL import Image

PALETTE = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0)}


def write_values(path: Path, scene: Scene) -> None:
    values = values_of(scene.values)
    Image.fromarray(values.astype(np.uint16 if values.max() > 255 else np.uint8)).save(path)


def write_colours(path: Path, scene: Scene) -> None:
    values, pixels = values_of(Drawn()), np.zeros((*SIZE, 3), dtype=np.uint8)
    for value, colour in PALETTE.items():
        pixels[values == value] = colour
    Image.fromarray(pixels).save(path)


def write_outlined(path: Path, scene: Scene) -> None:
    """Pascal VOC's palette PNGs, in which a line around each object is 255."""
    values = values_of(scene.values)
    for left, top, right, bottom in (CAT, DOG):
        values[top - 1, left - 1 : right + 1] = values[bottom, left - 1 : right + 1] = 255
    image = Image.fromarray(values.astype(np.uint8), "L").convert("P")
    image.putdata(values.ravel().tolist())
    image.save(path)


def write_object(path: Path, scene: Scene) -> None:
    left, top, right, bottom = CAT if path.stem.endswith("1") else DOG
    mask = np.zeros(SIZE, dtype=np.uint8)
    mask[top:bottom, left:right] = 255
    Image.fromarray(mask).save(path)


def write_ade_instances(path: Path, scene: Scene) -> None:
    """Red is the class among the things, of which a person is the fourth, and green the number."""
    pixels = np.zeros((*SIZE, 3), dtype=np.uint8)
    pixels[CAT[1] : CAT[3], CAT[0] : CAT[2]] = (4, 1, 0)
    Image.fromarray(pixels).save(path)


def write_panoptic_png(path: Path, scene: Scene) -> None:
    values = values_of(Drawn()).astype(np.uint8)
    Image.fromarray(np.stack([values, np.zeros_like(values), np.zeros_like(values)], -1)).save(path)
