"""The values and colours of masks as their makers meant them, whatever file they are in, upright by its own EXIF orientation.

- A grey image has values; so has one whose red, green and blue are equal.
- An image with a palette has the palette's indices as values, and colours.
- Any other image has colours alone.

Shapes: H, W pixels.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.formats.image_files import too_large

MASK_SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".gif", ".npy")
LOSSY_SUFFIXES = (".jpg", ".jpeg", ".webp")
LOSSY_FORMATS = ("JPEG", "MPO", "WEBP")
GREY_STEPS = {2: 85, 4: 17}  # bits of a grey sample -> what Pillow multiplies it by
BITS_TAG = 258  # of TIFF


@dataclass(frozen=True)
class Mask:
    """
    Args:
        values: (H, W) int64; None if the image has nothing but colours.
        colours: (H, W, 3) uint8; None if it has nothing but values.
        step: what a value is multiplied by to be a grey level of 0..255; 0 if values are none.
    """

    values: np.ndarray | None
    colours: np.ndarray | None
    step: int = 0


def read_indices(path: Path) -> np.ndarray:
    """The values of an index image, (H, W) int64; of an image with a palette, the indices.

    Raises:
        BadSample: the file is broken, is stored with loss, or holds colours.
    """
    mask = read_mask(path)
    if mask.values is None:
        raise BadSample(f"{path} holds colours. Store the indices as 8-bit or 16-bit grey, or with a palette.")
    return mask.values


def read_mask(path: Path) -> Mask:
    """The values and colours of a mask.

    Raises:
        BadSample: the file is broken, is stored with loss, or has neither whole values nor colours.
    """
    if path.suffix.lower() == ".npy":
        return Mask(_array_values(path), None)
    try:
        content = path.read_bytes()
        # not by its path: Pillow maps files into memory, and garbles grey TIFFs with an orientation in doing so
        with Image.open(io.BytesIO(content)) as image:
            _check_exact(image, path)
            image.load()
            step = GREY_STEPS.get(_grey_bits(image, content), 1)
            return _mask_of(ImageOps.exif_transpose(image), step, path)
    except BadSample:
        raise
    except Image.DecompressionBombError as error:
        raise too_large(path, error) from error
    except (OSError, SyntaxError, ValueError) as error:  # PIL reports some broken files as a SyntaxError
        raise BadSample(f"{path}: can't be read as an image ({error}). Store it again.") from error


def _check_exact(image: Image.Image, path: Path) -> None:
    if image.format in LOSSY_FORMATS:
        raise BadSample(
            f"{path} is a {image.format} file, which blends the values of neighbours. Export the masks anew, as PNG. Those of "
            f"black and white alone can be parted again: magick mogrify -format png -threshold 50% {path.parent}/*{path.suffix}"
        )
    if getattr(image, "n_frames", 1) > 1:
        raise BadSample(f"{path} has {image.n_frames} pages, a mask has one. Store each as a file of its own, beside its image.")


def _grey_bits(image: Image.Image, content: bytes) -> int:
    """The bits of a sample of a grey PNG or TIFF, as stored; 8 for any other image."""
    if image.mode != "L":
        return 8
    if image.format == "PNG":
        return content[24]  # in the header, which is the first chunk
    return image.tag_v2.get(BITS_TAG, (8,))[0] if image.format == "TIFF" else 8


def _mask_of(image: Image.Image, step: int, path: Path) -> Mask:
    if image.mode == "P":
        return Mask(np.asarray(image).astype(np.int64), np.asarray(image.convert("RGB")))
    if image.mode == "1":
        return Mask(np.asarray(image).astype(np.int64), None, 255)
    if image.mode == "L":
        return Mask(np.asarray(image).astype(np.int64) // step, None, step)
    if image.mode == "I" or image.mode.startswith("I;16"):
        return Mask(np.asarray(image).astype(np.int64), None)
    if image.mode == "F":
        return Mask(_whole(np.asarray(image), path), None)
    if image.mode == "LA":
        return Mask(np.asarray(image)[..., 0].astype(np.int64), None, 1)
    if image.mode not in ("RGB", "RGBA"):
        raise BadSample(f"{path} has the mode {image.mode}. Store the mask as 8-bit or 16-bit grey, or with a palette.")
    pixels = np.asarray(image)
    colours = pixels[..., :3]
    if image.mode == "RGBA" and np.ptp(pixels[..., 3]) and not np.ptp(colours.reshape(-1, 3), axis=0).any():
        raise BadSample(f"{path} has one colour, and its transparency alone differs. Store the mask without transparency.")
    is_grey = (colours[..., 0] == colours[..., 1]).all() and (colours[..., 1] == colours[..., 2]).all()
    return Mask(colours[..., 0].astype(np.int64) if is_grey else None, colours)


def _array_values(path: Path) -> np.ndarray:
    """(H, W) int64 of a numpy file."""
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadSample(f"{path}: can't be read as a numpy array ({error}). Store it again with numpy.save.") from error
    values = values.squeeze() if values.ndim == 3 and 1 in (values.shape[0], values.shape[2]) else values
    if values.ndim != 2:
        raise BadSample(
            f"{path} has the shape {values.shape}; a mask has height and width. Store the indices of classes in one plane."
        )
    return _whole(values, path) if values.dtype.kind == "f" else values.astype(np.int64)


def _whole(values: np.ndarray, path: Path) -> np.ndarray:
    """Floats as integers, if they are whole."""
    if not np.isfinite(values).all() or (values != np.round(values)).any():
        raise BadSample(
            f"{path} has fractions, from {values.min():.4g} to {values.max():.4g}, not indices. Store whole values as 8-bit grey."
        )
    return values.astype(np.int64)
