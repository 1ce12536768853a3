"""Counts of pixels at each of the 65,536 levels of a confidence, from which curves and calibration follow exactly.

Shapes: H, W pixels, L = 65,536 levels.
"""

import torch
from torch import Tensor

from eomt.image_processing.confidence import LEVELS, confidence_levels

CHUNK = 1 << 20  # pixels at a time, so that memory stays small for any image


def count_levels(confidence: Tensor, truth: Tensor, counted: Tensor) -> Tensor:
    """
    Args:
        confidence: (H, W) floats in 0..1, or integer levels in 0..65,535 as files of 16 bits hold them.
        truth: (H, W) bool.
        counted: (H, W) bool, which pixels count.

    Returns:
        (2, L) int64 counts of the pixels whose truth is False, and of those whose truth is True.

    Raises:
        ValueError: the maps differ in size, or a confidence is out of range.
    """
    if not confidence.shape == truth.shape == counted.shape:
        raise ValueError(
            f"The confidence is {tuple(confidence.shape)}, but the truth {tuple(truth.shape)}. Both must be (H, W): post-process "
            "to the size of the truth, with target_sizes."
        )
    of_levels = not confidence.is_floating_point()
    pixels, truth, counted = confidence.flatten(), truth.flatten(), counted.flatten()
    if of_levels:
        pixels = pixels.to(torch.int32)  # 16-bit integers without a sign have no minimum in PyTorch
    most = LEVELS - 1 if of_levels else 1
    if pixels.numel() and not (pixels.min() >= 0 and pixels.max() <= most):  # which isn't so for NaN, either
        raise ValueError(
            f"The confidence goes from {pixels.min().item()} to {pixels.max().item()}, but {'integers' if of_levels else 'floats'} "
            f"must lie in 0..{most}."
        )
    counts = torch.zeros(2 * LEVELS, dtype=torch.int64)
    for start in range(0, len(pixels), CHUNK):
        part = slice(start, start + CHUNK)
        levels = pixels[part] if of_levels else confidence_levels(pixels[part])
        counts += torch.bincount((levels + LEVELS * truth[part])[counted[part]], minlength=2 * LEVELS)
    return counts.view(2, LEVELS)
