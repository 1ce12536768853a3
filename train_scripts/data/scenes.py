"""The demo's dataset: scenes with exact panoptic labels, made from pixels that are free to use.

A scene shows two of scikit-image's textures, which are stuff and meet at a line. Over them lie one to five sprites, which are
things (CC0, see sprites/README.md). Training scenes are of the left three quarters of each texture, validation scenes of the rest.
"""

import io
import json
import math
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from eomt.train_scripts.data.dataset_folder import Labels, write_labels
from eomt.train_scripts.data.shard_writer import write_split

SIDE = 112  # pixels of a scene
MIN_SEGMENT = 20  # pixels; a segment of which less shows becomes void
THINGS = {
    "bee": ["bee"],
    "fish": ["fish_green", "fish_pink"],
    "frog": ["frog", "frog_leaping"],
    "ladybug": ["ladybug"],
    "mouse": ["mouse"],
    "mushroom": ["mushroom"],
    "key": ["key_blue", "key_green", "key_red", "key_yellow"],
    "gem": ["gem_blue", "gem_green", "gem_red", "gem_yellow"],
}
STUFF = ["brick", "grass", "gravel", "moon", "coffee", "rocket"]
LABELS = Labels([*THINGS, *STUFF], [True] * len(THINGS) + [False] * len(STUFF))
SPLITS = ["train", "val"]
MANIFEST = "scenes.json"
VERSION = 1  # of what a seed gives; to be counted up when scenes change


@cache
def sprites() -> list[list[Image.Image]]:
    """The sprites of each thing class, RGBA."""
    folder = Path(__file__).parents[1] / "sprites"
    return [[Image.open(folder / f"{name}.png").convert("RGBA") for name in names] for names in THINGS.values()]


@cache
def textures() -> list[np.ndarray]:
    """One (H, W, 3) uint8 texture for each stuff class."""
    try:
        import skimage.data
    except ImportError as error:
        raise ImportError("the scenes need scikit-image; pip install 'eomt-transformers[demo]'") from error

    arrays = [np.atleast_3d(getattr(skimage.data, name)()) for name in STUFF]
    return [np.broadcast_to(array, (*array.shape[:2], 3)) for array in arrays]


def texture_window(texture: np.ndarray, rng: np.random.Generator, held_out: bool) -> np.ndarray:
    """A random window of a texture under random light, (SIDE, SIDE, 3): of its last quarter if `held_out`, else of the rest."""
    height, width, _ = texture.shape
    border = width * 3 // 4
    low, high = (border, width - SIDE) if held_out else (0, border - SIDE)
    x, y = rng.integers(low, high + 1), rng.integers(0, height - SIDE + 1)
    return _lit(texture[y : y + SIDE, x : x + SIDE], rng.uniform(0.7, 1.2))


def _lit(pixels: np.ndarray, factor: float) -> np.ndarray:
    levels = np.minimum(np.arange(256) * factor + 0.5, 255).astype(np.uint8)
    return levels[pixels]


def posed_sprite(sprite: Image.Image, rng: np.random.Generator) -> np.ndarray:
    """A sprite at a random size, mirrored or not, tilted and lit: (h, w, 4) uint8, a quarter to about half a scene's side."""
    scale = rng.integers(SIDE // 4, int(SIDE * 0.55) + 1) / max(sprite.size)
    sprite = sprite.resize([max(4, int(edge * scale)) for edge in sprite.size], Image.Resampling.BILINEAR)
    if rng.random() < 0.5:
        sprite = sprite.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    sprite = sprite.rotate(rng.uniform(-25, 25), expand=True, resample=Image.Resampling.BILINEAR)
    pixels = np.array(sprite)[:SIDE, :SIDE]
    pixels[..., :3] = _lit(pixels[..., :3], rng.uniform(0.7, 1.1))
    return pixels


def make_scene(rng: np.random.Generator, held_out: bool) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """
    Args:
        rng: of all draws.
        held_out: whether textures are those of validation.

    Returns:
        The image (SIDE, SIDE, 3) uint8; its id map (SIDE, SIDE) uint8, whose ids count from 1 in the order of painting, 0 being
        void; and the class index of each id.
    """
    angle, shift = rng.uniform(0, math.pi), rng.uniform(-0.2, 0.2) * SIDE
    y, x = np.ogrid[:SIDE, :SIDE]
    first_side = (x - SIDE / 2) * math.cos(angle) + (y - SIDE / 2) * math.sin(angle) > shift
    chosen = rng.choice(len(STUFF), 2, replace=False)
    first, second = (texture_window(textures()[stuff], rng, held_out) for stuff in chosen)
    image = np.where(first_side[..., None], first, second)
    ids = np.where(first_side, 1, 2).astype(np.uint8)
    classes = [len(THINGS) + int(stuff) for stuff in chosen]
    for _ in range(rng.integers(1, 6)):
        thing = int(rng.integers(len(THINGS)))
        variants = sprites()[thing]
        sprite = posed_sprite(variants[rng.integers(len(variants))], rng)
        height, width, _ = sprite.shape
        y, x = rng.integers(0, SIDE - height + 1), rng.integers(0, SIDE - width + 1)
        window = np.s_[y : y + height, x : x + width]
        alpha = sprite[..., 3:].astype(np.uint16)
        blended = image[window] * (255 - alpha) + sprite[..., :3] * alpha  # at most 255 * 255: fits 16 bits
        image[window] = (blended + 127) // 255
        classes.append(thing)
        ids[window][alpha[..., 0] > 127] = len(classes)
    areas = np.bincount(ids.ravel(), minlength=len(classes) + 1)
    kept = np.flatnonzero(areas[1:] >= MIN_SEGMENT)
    renumbered = np.zeros(len(classes) + 1, np.uint8)
    renumbered[kept + 1] = np.arange(1, len(kept) + 1)
    return image, renumbered[ids], [classes[index] for index in kept]


def make_row(seed: int, split: str, index: int) -> dict:
    """One row of the dataset; it depends on nothing but the arguments."""
    rng = np.random.default_rng([seed, SPLITS.index(split), index])
    image, ids, classes = make_scene(rng, held_out=split != "train")
    table = [{"id": segment + 1, "category": category, "iscrowd": False} for segment, category in enumerate(classes)]
    return {"image_id": f"{split}-{index:05d}", "image": _png(image), "id_map": _png(ids), "segments": table}


def _png(pixels: np.ndarray) -> dict:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", compress_level=1)
    return {"bytes": stream.getvalue(), "path": None}


def make_rows(seed: int, split: str, count: int) -> Iterator[dict]:
    """The first `count` rows of a split, made by up to eight processes."""
    with ProcessPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        yield from pool.map(make_row, *zip(*((seed, split, i) for i in range(count)), strict=True), chunksize=50)


def write_scenes(out: str | Path, train: int, val: int, seed: int = 0) -> None:
    """Writes the dataset, unless the same one is there already. `out` appears when all of it is written.

    Args:
        out: folder of the dataset.
        train, val: numbers of scenes, each positive.
        seed: of the scenes.

    Raises:
        ValueError: a number isn't positive, or `out` exists and is not this dataset.
    """
    out = Path(out)
    sizes = {"train": train, "val": val}
    manifest = {"version": VERSION, "seed": seed, **sizes}
    if min(train, val) < 1:
        raise ValueError(f"train={train}, val={val}: both must be at least 1")
    if out.exists():
        if (out / MANIFEST).is_file() and json.loads((out / MANIFEST).read_text()) == manifest:
            print(f"{out} has these scenes already")
            return
        raise ValueError(f"out={out} exists and holds something else. Remove it or choose another folder.")
    part = out.with_name(f".{out.name}.partial")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    write_labels(part, LABELS)
    for split, count in sizes.items():
        write_split(part, split, make_rows(seed, split, count), count)
    (part / MANIFEST).write_text(json.dumps(manifest))
    os.replace(part, out)


def write_folders(folder: str | Path, count: int, seed: int = 0) -> None:
    """Writes scenes as plain files: `images`, `masks` of class indices with 255 for void, and `classes.txt`.

    Args:
        folder: must not exist.
        count: of scenes.
        seed: of the scenes.

    Raises:
        ValueError: the folder exists.
    """
    folder = Path(folder)
    if folder.exists():
        raise ValueError(f"folders={folder} exists. Remove it or choose another folder.")
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for row in make_rows(seed, "train", count):
        (folder / "images" / f"{row['image_id']}.png").write_bytes(row["image"]["bytes"])
        ids = np.asarray(Image.open(io.BytesIO(row["id_map"]["bytes"])))
        classes = np.full(256, 255, np.uint8)
        classes[[segment["id"] for segment in row["segments"]]] = [segment["category"] for segment in row["segments"]]
        Image.fromarray(classes[ids]).save(folder / "masks" / f"{row['image_id']}.png")
    (folder / "classes.txt").write_text("\n".join(LABELS.names) + "\n")


@dataclass
class SceneOptions:
    """What is written: a dataset, or plain folders."""

    out: str | None = field(default=None, metadata={"help": "folder of the dataset"})
    folders: str | None = field(default=None, metadata={"help": "folder for images and masks, in place of a dataset"})
    count: int = field(default=120, metadata={"help": "scenes in folders"})
    train: int = field(default=6000, metadata={"help": "training scenes"})
    val: int = field(default=200, metadata={"help": "validation scenes"})
    seed: int = field(default=0, metadata={"help": "of all draws"})

    def __post_init__(self):
        if bool(self.out) == bool(self.folders):
            raise ValueError("give either --out or --folders")

    def write(self) -> None:
        if self.folders:
            write_folders(self.folders, self.count, self.seed)
        else:
            write_scenes(self.out, self.train, self.val, self.seed)
