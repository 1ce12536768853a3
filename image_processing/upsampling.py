"""Mask logits -> the pixels they are about. Two bilinear steps, as in stock: to the model's input, then to the target.

Shapes: n queries or classes, h, w logits, H, W pixels of the target.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F

from eomt.image_processing.sizes import Placement, Size


def resize_bilinear(planes: torch.Tensor, size: Size) -> torch.Tensor:
    """(n, h, w) -> (n, *size)."""
    return F.interpolate(planes[None], size=size, mode="bilinear", align_corners=False)[0]


def to_content(mask_logits: torch.Tensor, place: Placement) -> torch.Tensor:
    """(n, h, w) -> (n, *content): as large as the model's input, without its padding."""
    height, width = place.content
    return resize_bilinear(mask_logits, place.canvas)[:, :height, :width]


def upsampled_masks(mask_logits: torch.Tensor, place: Placement) -> Iterator[torch.Tensor]:
    """The (H, W) logits of one query after the other: a plane stays in cache, all of them wouldn't fit in it."""
    for logits in mask_logits:
        yield resize_bilinear(to_content(logits[None], place), place.target)[0]
