"""Whatever holds an image (path, URL, PIL image, array, tensor) -> a channels-first tensor of 8-bit or float pixels.

Shapes: C channels, H, W pixels.
"""

import base64
import binascii
import http.client
import os
import urllib.request
from io import BytesIO

import numpy as np
import torch
from PIL import Image, ImageOps
from transformers.image_utils import ChannelDimension

URL_SCHEMES = ("http://", "https://", "data:image/")
URL_TIMEOUT = 60  # seconds
UNREADABLE = (  # PIL reports some broken files as a SyntaxError
    OSError,
    SyntaxError,
    binascii.Error,
    http.client.HTTPException,
    Image.DecompressionBombError,
)
CHANNELS = (1, 3, 4)  # grey, RGB, RGBA
PREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}  # PIL modes whose colours are multiplied by alpha, and the same without


def load_pil(source: str | os.PathLike | Image.Image, name: str, timeout: float | None = None) -> Image.Image:
    """Opens and decodes an image file, upright.

    Args:
        source: a path, a URL (http, https, data), base64 text, or a PIL image that may not have been decoded yet.
        name: what error messages call it, such as `images[3]`.
        timeout: seconds to wait for the server of a URL; None: `URL_TIMEOUT`.

    Returns:
        The decoded image in the mode of the file, with its EXIF orientation applied.

    Raises:
        ValueError: the file is missing, isn't an image, is cut off, or has more pixels than PIL decodes.
    """
    source = os.fspath(source) if isinstance(source, os.PathLike) else source
    file = source if isinstance(source, str) else getattr(source, "filename", "") or "a PIL image"
    shown = str(file) if len(str(file)) <= 200 else f"{str(file)[:200]}..."
    try:
        image = Image.open(_open(source, timeout)) if isinstance(source, str) else source
        image.load()
        return ImageOps.exif_transpose(image)
    except UNREADABLE as error:
        missing = isinstance(error, FileNotFoundError | binascii.Error)
        problem = "no such file, and neither a URL nor base64 text" if missing else f"can't be read as an image ({error})"
        raise ValueError(f"{name}: {shown}: {problem}. Pass the path or URL of a complete image file.") from error


def _open(source: str, timeout: float | None) -> BytesIO | str:
    if source.startswith(URL_SCHEMES):
        request = urllib.request.Request(source, headers={"User-Agent": "eomt-transformers"})
        with urllib.request.urlopen(request, timeout=URL_TIMEOUT if timeout is None else timeout) as response:
            return BytesIO(response.read())
    if os.path.exists(source):  # False for text that is longer than any path, where Path.exists raises an error
        return source
    return BytesIO(base64.b64decode(source.encode(), validate=True))


def flat_list(images: object) -> list:
    """One image, an array of several (B, ...), or lists, which may be nested -> a list of images."""
    if isinstance(images, list | tuple):
        return [image for entry in images for image in flat_list(entry)]
    if isinstance(images, np.ndarray | torch.Tensor) and images.ndim == 4:
        return list(images)
    return [images]


def single_image(images: object, makes: str) -> torch.Tensor:
    """The only one of some images, see [`flat_list`], as [`image_to_tensor`] gives it.

    Args:
        images: one image, alone or in a list.
        makes: what is made of it, for the error message.

    Raises:
        ValueError: there is another number of images than one, or it can't be read.
    """
    images = flat_list(images)
    if len(images) != 1:
        raise ValueError(f"images has {len(images)} entries, but {makes} are made of one image at a time; give one")
    return image_to_tensor(images[0], "images[0]")


def image_to_tensor(
    image: str | os.PathLike | Image.Image | np.ndarray | torch.Tensor,
    name: str,
    convert_rgb: bool = True,
    data_format: str | ChannelDimension | None = None,
    white: float = 255.0,
) -> torch.Tensor:
    """One image as (C, H, W): float32 with unchanged values if it came as floats, otherwise uint8.

    PIL images are turned upright by their EXIF orientation. Transparency is laid over white, and grey is repeated over the three
    channels. Samples of 16 bits are scaled to 8 bits, and bool becomes 0 and 255.

    Args:
        image: path, URL, PIL image of any mode, or an array of (H, W), (H, W, C) or (C, H, W) with C in 1, 3, 4. Any C is allowed
            with `convert_rgb=False` and a `data_format`.
        name: what error messages call it.
        convert_rgb: whether to make RGB of grey, palette and RGBA images.
        data_format: where an array has its channels. None: first if that axis has a length in 1, 3, 4, and otherwise last.
        white: the value of white in float images: 255, or 1 for images in 0..1 that aren't rescaled.

    Raises:
        ValueError: unreadable file, unknown layout, integers outside 0..255, pixels that are NaN, infinite or no real numbers.
    """
    if isinstance(image, str | os.PathLike | Image.Image):
        image, data_format = _pil_to_array(load_pil(image, name), convert_rgb), ChannelDimension.LAST
    pixels = _channels_first(as_tensor(image, name), name, convert_rgb, data_format)
    pixels = _to_8_bit_or_float(pixels, name)
    return (_to_rgb(pixels, white) if convert_rgb else pixels).contiguous()


def as_tensor(values: np.ndarray | torch.Tensor, name: str) -> torch.Tensor:
    """An array or a tensor of bool, integers or floats as a tensor, whatever its byte order and memory layout.

    Args:
        values: of any shape.
        name: what error messages call it.

    Raises:
        ValueError: it is neither, or holds something else, such as complex numbers.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
        longest = np.float64 if values.dtype.kind == "f" and values.dtype.itemsize > 8 else None  # torch has no longer floats
        return torch.from_numpy(np.require(values, longest or values.dtype.newbyteorder("="), requirements=["C", "W"]))
    if isinstance(values, torch.Tensor) and not values.is_complex():
        return values
    if isinstance(values, np.ndarray | torch.Tensor):
        raise ValueError(f"{name} is an array of {values.dtype}, but must hold bool, integers or floats. Convert it.")
    raise ValueError(f"{name} is a {type(values).__name__}, but must be a path, URL, PIL image, array or tensor.")


def _pil_to_array(image: Image.Image, convert_rgb: bool) -> np.ndarray:
    if image.mode.startswith("I"):  # 16-bit files open as I;16, I;16B or, in older Pillow, I
        return np.asarray(image, dtype=np.int64).clip(0, 65535).astype(np.uint16)
    if image.mode == "F" or not convert_rgb:
        return np.array(image)
    if image.mode in PREMULTIPLIED:
        image = image.convert(PREMULTIPLIED[image.mode])
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.array(image.convert("RGB"))


def _channels_first(pixels: torch.Tensor, name: str, convert_rgb: bool, data_format: str | ChannelDimension | None) -> torch.Tensor:
    any_channels = data_format is not None and not convert_rgb
    if pixels.ndim == 2:
        pixels = pixels[None]
    elif pixels.ndim == 3 and data_format is not None:
        pixels = pixels.permute(2, 0, 1) if ChannelDimension(data_format) == ChannelDimension.LAST else pixels
    elif pixels.ndim == 3 and pixels.shape[0] not in CHANNELS:
        pixels = pixels.permute(2, 0, 1)
    if pixels.ndim != 3 or not (any_channels or pixels.shape[0] in CHANNELS) or 0 in pixels.shape:
        raise ValueError(
            f"{name} has the shape {tuple(pixels.shape)}, but an image is (H, W), (H, W, C) or (C, H, W) with "
            f"C in {CHANNELS} and at least one pixel. Pass `input_data_format` if the order is ambiguous, and for another C "
            "do_convert_rgb=False as well."
        )
    return pixels  # (C, H, W)


def _to_8_bit_or_float(pixels: torch.Tensor, name: str) -> torch.Tensor:
    if pixels.dtype == torch.uint8:
        return pixels
    if pixels.dtype == torch.bool:
        return pixels.to(torch.uint8) * 255
    if pixels.dtype == torch.uint16:
        return ((pixels.to(torch.int32) + 128) // 257).to(torch.uint8)  # 65535 = 257 * 255
    if pixels.is_floating_point():
        if not torch.isfinite(pixels).all():
            raise ValueError(f"{name} has pixels that are NaN or infinite. Replace them before passing the image.")
        return pixels.to(torch.float32)
    values = pixels.cpu().numpy()  # torch has no minimum of unsigned integers of 32 and 64 bits
    low, high = values.min().item(), values.max().item()
    if low < 0 or high > 255:
        raise ValueError(
            f"{name} holds {pixels.dtype} pixels from {low} to {high}, but integers must be in 0..255 "
            "(16-bit images as uint16, floats as float32)."
        )
    return pixels.to(torch.uint8)


def _to_rgb(pixels: torch.Tensor, white: float) -> torch.Tensor:
    if pixels.shape[0] == 4:
        top = white if pixels.is_floating_point() else 255.0
        alpha = pixels[3:] / top
        blended = alpha * pixels[:3] + (1 - alpha) * top
        return blended if pixels.is_floating_point() else blended.round().to(torch.uint8)
    return pixels.expand(3, -1, -1) if pixels.shape[0] == 1 else pixels
