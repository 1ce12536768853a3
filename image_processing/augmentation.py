"""The paper's augmentation of training images and their id maps, as one Compose.

Shapes: H, W pixels of an image, P planes of an id map whose segments overlap, S pixels of a training crop's side.
"""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

PADDING_ID = -1  # the id of padding in id maps; no segment has it


def training_augmentation(
    size: int, min_scale: float = 0.1, max_scale: float = 2.0, color_jitter: bool = False, rotate90: bool = False
) -> v2.Compose:
    """The augmentation of the official recipe, with its defaults for COCO panoptic.

    Args:
        size: `S`.
        min_scale, max_scale: range of the scale jitter; at 1 the image fits exactly inside the crop. The published ranges are 0.1
            to 2 for panoptic and instance segmentation and 0.5 to 2 for semantic segmentation.
        color_jitter: whether to change colours, as published for ADE20K and Cityscapes.
        rotate90: whether to turn images by a random number of quarters as well, for sets without an upright.

    Returns:
        (`tv_tensors.Image` (3, H, W) uint8, `tv_tensors.Mask` (H, W) or (P, H, W)) -> the same types, S x S. It draws from
        torch's global generator.
    """
    return v2.Compose(
        [
            *(photometric_jitter() if color_jitter else ()),
            v2.RandomHorizontalFlip(0.5),
            *([QuarterTurns()] if rotate90 else ()),
            ScaleJitterCrop(size, min_scale, max_scale),
        ]
    )


def without_augmentation(size: int) -> v2.Compose:
    """What a training image becomes without augmentation: it is fitted inside the crop. Nothing is drawn at random.

    Args:
        size: `S`.

    Returns:
        As [`training_augmentation`].
    """
    return v2.Compose([ScaleJitterCrop(size, 1.0, 1.0)])


def photometric_jitter() -> list[v2.Transform]:
    """Brightness, contrast, saturation and hue, each with probability 1/2. Contrast comes before or after saturation and hue."""
    brightness, contrast, saturation, hue = (
        v2.RandomApply([v2.ColorJitter(**{name: strength})], p=0.5)
        for name, strength in {"brightness": 32 / 255, "contrast": 0.5, "saturation": 0.5, "hue": 18 / 360}.items()
    )
    return [
        brightness,
        v2.RandomChoice([v2.Compose([contrast, saturation, hue]), v2.Compose([saturation, hue, contrast])]),
    ]


class QuarterTurns(v2.Transform):
    """Turns images and id maps by 0, 90, 180 or 270 degrees, each as likely. With flips, these are all eight views of a square."""

    def make_params(self, flat_inputs: list) -> dict:
        return {"quarters": int(torch.randint(0, 4, ()))}

    def transform(self, inpt: Tensor, params: dict) -> Tensor:
        return tv_tensors.wrap(torch.rot90(inpt, params["quarters"], (-2, -1)), like=inpt)


class ScaleJitterCrop(v2.Transform):
    """
    Scale jitter, padding at the right and bottom, and a random crop, in one step.

    The result is that of `v2.ScaleJitter((S, S))`, padding to at least S x S and `v2.RandomCrop(S)`, up to rounding. Only what the
    crop shows is resized: at scale 2, a quarter of the pixels. Images are resized bilinearly with antialiasing and padded with
    black. Id maps take nearest pixels and are padded with `PADDING_ID`.

    Args:
        size: `S`.
        min_scale, max_scale: range of the factor on the image's size once fitted inside S x S.

    Raises:
        ValueError: the size isn't positive or the range isn't one of positive numbers.
    """

    def __init__(self, size: int, min_scale: float, max_scale: float):
        super().__init__()
        if size < 1 or not 0 < min_scale <= max_scale:
            raise ValueError(
                f"size={size}, min_scale={min_scale}, max_scale={max_scale}, but must be 1 <= size and 0 < min_scale <= max_scale."
            )
        self.size, self.min_scale, self.max_scale = size, min_scale, max_scale

    def make_params(self, flat_inputs: list) -> dict:
        height, width = v2.query_size(flat_inputs)
        scale = self.min_scale + torch.rand(()).item() * (self.max_scale - self.min_scale)
        ratio = min(self.size / height, self.size / width) * scale
        scaled = [max(1, int(height * ratio)), max(1, int(width * ratio))]
        starts = [int(torch.randint(0, max(0, edge - self.size) + 1, ())) for edge in scaled]
        return {"scaled": scaled, "starts": starts}

    def transform(self, inpt: Tensor, params: dict) -> Tensor:
        scaled, starts = params["scaled"], params["starts"]
        shown = [min(edge, self.size) for edge in scaled]
        if isinstance(inpt, tv_tensors.Mask):
            ids = inpt.numpy() if inpt.ndim == 2 else inpt.permute(1, 2, 0).numpy()
            window, padding = _nearest_window(ids, scaled, starts, shown), PADDING_ID
        else:
            window, padding = _bilinear_window(inpt.permute(1, 2, 0).numpy(), scaled, starts, shown), 0
        if window.shape[:2] != (self.size, self.size):
            canvas = np.full((self.size, self.size, *window.shape[2:]), padding, dtype=window.dtype)
            canvas[: shown[0], : shown[1]] = window
            window = canvas
        result = torch.from_numpy(window)
        return tv_tensors.wrap(result if result.ndim == 2 else result.permute(2, 0, 1), like=inpt)


def _nearest_window(ids: np.ndarray, scaled: Sequence[int], starts: Sequence[int], shown: Sequence[int]) -> np.ndarray:
    """(H, W) or (H, W, P) ids -> `shown` pixels from `starts` of the map resized to `scaled`.

    Each new pixel takes the id under its centre. Bilinear resizing goes by centres too, so labels don't shift against the image.
    """
    rows, cols = (
        (2 * np.arange(start, start + length) + 1) * old // (2 * new)  # floor((i + 1/2) old / new)
        for old, new, start, length in zip(ids.shape[:2], scaled, starts, shown, strict=True)
    )
    if len(rows) <= rows[-1] - rows[0]:  # whole rows are taken fast, so columns are taken of as few rows as may be
        return ids.take(rows, axis=0).take(cols, axis=1)
    return ids[rows[0] : rows[-1] + 1].take(cols, axis=1).take(rows - rows[0], axis=0)


def _bilinear_window(pixels: np.ndarray, scaled: Sequence[int], starts: Sequence[int], shown: Sequence[int]) -> np.ndarray:
    """(H, W, 3) uint8 -> `shown` pixels from `starts` of the image resized to `scaled`, (*shown, 3).

    Pillow resizes a box whose edges are fractions of a pixel, which torch can't.
    """
    height, width, _ = pixels.shape
    step_y, step_x = height / scaled[0], width / scaled[1]
    top, left = starts[0] * step_y, starts[1] * step_x
    box = (left, top, min(width, left + shown[1] * step_x), min(height, top + shown[0] * step_y))
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.array(image.resize((shown[1], shown[0]), Image.Resampling.BILINEAR, box=box))


def normalize(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """(B, 3, H, W) uint8 -> float32. `mean` and `std` are those of pixels in 0..1."""
    # (x / 255 - mean) / std as one product and one difference, in place: batches of training images are large
    scale = torch.tensor(std).mul(255).reciprocal().view(3, 1, 1)
    shift = (torch.tensor(mean) / torch.tensor(std)).view(3, 1, 1)
    return images.to(torch.float32).mul_(scale).sub_(shift)
