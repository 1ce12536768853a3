"""Bilinear sampling at points, of predicted masks and of targets in either form.

Points are `(x, y)` in [0, 1] over the image, pixel centres at half-integers, zero outside: what
`torch.nn.functional.grid_sample` computes with `align_corners=False` and zero padding, as in PointRend and Mask2Former.
Shapes: `M` masks, `P` points, `n` segments of an image, `L` planes of an id map, `H, W` pixels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def sample_logits(logits: Tensor, points: Tensor) -> Tensor:
    """Values of feature maps at points.

    Args:
        logits: (M, channels, h, w).
        points: (M, P, 2).

    Returns:
        (M, channels, P) float32.
    """
    grid = 2 * points[:, :, None] - 1  # (M, P, 1, 2)
    return F.grid_sample(logits.float(), grid, align_corners=False).squeeze(3)


def sample_shared(maps: Tensor, points: Tensor) -> Tensor:
    """Values of all maps of an image at the same points: [`sample_logits`] in less time, without a gradient for the points.

    Args:
        maps: (B, channels, h, w).
        points: (B, P, 2).

    Returns:
        (B, channels, P) float32.
    """
    images, channels, height, width = maps.shape
    pixels, weights = bilinear_corners(points, height, width)  # (B, P, 4)
    # a pixel's values lie side by side, and are read at once
    rows = maps.float().flatten(2).transpose(1, 2).reshape(images * height * width, channels)
    first = torch.arange(images, device=maps.device)[:, None, None] * (height * width)
    sums = F.embedding_bag((pixels + first).view(-1, 4), rows, mode="sum", per_sample_weights=weights.view(-1, 4))
    return sums.view(images, -1, channels).transpose(1, 2)


def bilinear_corners(points: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """The four pixels around each point and their weights.

    Args:
        points: (..., 2).

    Returns:
        Flat pixel indices (..., 4) and weights (..., 4); a corner outside the image has weight 0.
    """
    x, y = points[..., 0] * width - 0.5, points[..., 1] * height - 0.5
    left, top = x.floor(), y.floor()
    dx, dy = x - left, y - top
    corner_x = torch.stack([left, left + 1, left, left + 1], dim=-1)
    corner_y = torch.stack([top, top, top + 1, top + 1], dim=-1)
    weights = torch.stack([(1 - dx) * (1 - dy), dx * (1 - dy), (1 - dx) * dy, dx * dy], dim=-1)
    inside = (corner_x >= 0) & (corner_x < width) & (corner_y >= 0) & (corner_y < height)
    pixels = corner_y.clamp(0, height - 1) * width + corner_x.clamp(0, width - 1)
    return pixels.long(), weights * inside


def uncertain_points(logits: Tensor, candidates: Tensor, extra: Tensor, num_points: int) -> Tensor:
    """The points of the mask losses: the most uncertain candidates, and some at random (PointRend, section 3.1).

    Args:
        logits: (M, h, w) predicted masks.
        candidates: (M, oversampled, 2) random points to choose from.
        extra: (M, R, 2) random points that are taken as they are.
        num_points: `P`, of which `P - R` are chosen.

    Returns:
        (M, P, 2).
    """
    uncertainty = -sample_logits(logits[:, None], candidates)[:, 0].abs()  # (M, oversampled)
    chosen = uncertainty.topk(num_points - extra.shape[1], dim=1, sorted=False).indices
    return torch.cat([candidates.gather(1, chosen[..., None].expand(-1, -1, 2)), extra], dim=1)
