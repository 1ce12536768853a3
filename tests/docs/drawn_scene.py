"""What small datasets of every tool show: photos of 64 x 48 pixels with a cat and a dog, each in a box."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (48, 64)  # H, W
Box = tuple[int, int, int, int]  # left, top, right, bottom
CAT: Box = (6, 6, 28, 22)
DOG: Box = (34, 24, 60, 44)
BOXES = {"cat": CAT, "dog": DOG}


@dataclass(frozen=True)
class Drawn:
    """What the files of one dataset show.

    Args:
        cat, dog: the values that masks have for the two boxes.
        base: the value of all other pixels.
    """

    cat: int = 1
    dog: int = 2
    base: int = 0


@dataclass(frozen=True)
class Scene:
    """The dataset that a file is in."""

    files: list[Path]
    root: Path
    values: Drawn

    @property
    def photos(self) -> list[Path]:
        return [path for path in self.files if is_photo(path)]

    def photos_of(self, path: Path) -> list[Path]:
        """The photos that a file of annotations is of: those beside it, those of its split, or all."""
        word = re.search(r"train|val|test|default", path.stem)
        beside = [photo for photo in self.photos if photo.parent == path.parent]
        of_split = [photo for photo in self.photos if word and any(word[0] in part for part in photo.parts[-3:-1])]
        return beside or of_split or self.photos


def is_photo(path: Path) -> bool:
    """Whether a file is a photo; other pictures are masks."""
    if path.suffix == ".jpg":
        return True
    return path.suffix == ".png" and (path.stem.endswith(("_leftImg8bit", "_0000")) or path.parent.name == "images")


def write_photo(path: Path, scene: Scene | None = None) -> None:
    pixels = np.random.default_rng(len(path.name)).integers(90, 160, (*SIZE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def values_of(drawn: Drawn) -> np.ndarray:
    """(H, W) of a mask."""
    values = np.full(SIZE, drawn.base, dtype=np.int64)
    for value, (left, top, right, bottom) in ((drawn.cat, CAT), (drawn.dog, DOG)):
        values[top:bottom, left:right] = value
    return values
