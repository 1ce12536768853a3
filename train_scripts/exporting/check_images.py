"""The images on which an export is checked: a user's photos, or scenes drawn from the packaged sprites.

Shapes: B model inputs, H, W pixels.
"""

from itertools import islice

import numpy as np
from PIL import Image
from torch import Tensor

from eomt import EomtImageProcessor
from eomt.train_scripts.data.image_sources import open_source
from eomt.train_scripts.data.samples import decode_image
from eomt.train_scripts.data.scenes import sprites

MOST = 4  # photos that are looked at
DRAWN = ((320, 240), (240, 320))  # width and height of each drawn scene


def check_images(images: str | None) -> list:
    """A few images, as the image processor takes them.

    Args:
        images: an image or a folder of images; None for drawn scenes.

    Raises:
        ValueError: there are no images, or one of the first can't be read.
    """
    if images is None:
        return [draw_scene(size, seed) for seed, size in enumerate(DRAWN)]
    rows = list(islice(open_source(images).rows(), MOST))
    if not rows:
        raise ValueError(f"images={images!r} holds no images; give photos, or leave it out")
    return [decode_image(encoded, name) for name, _, encoded in rows]


def draw_scene(size: tuple[int, int], seed: int) -> Image.Image:
    """Sprites over coloured noise, smooth and fine.

    Args:
        size: `(width, height)`, pixels.
        seed: of all draws.
    """
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    fine = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    scene = Image.blend(coarse, fine, 0.2)
    for variants in sprites():
        sprite = variants[rng.integers(len(variants))]
        side = int(rng.integers(size[1] // 5, size[1] // 2))
        sprite = sprite.resize((side, side), Image.Resampling.BILINEAR)
        corner = tuple(int(rng.integers(0, edge - side + 1)) for edge in size)
        scene.paste(sprite, corner, sprite)
    return scene


def model_inputs(processor: EomtImageProcessor, images: list) -> list[Tensor]:
    """(B, 3, H, W) of each image, B its windows."""
    return [processor(images=[image], return_tensors="pt")["pixel_values"] for image in images]
