"""Bilinear sampling at points, of predicted masks and of targets in either form.

Points are `(x, y)` in [0, 1] over the image, pixel centres at half-integers, zero outside: what
`torch.nn.functional.grid_sample` computes with `align_corners=False` and zero padding, as in PointRend and Mask2Former.
Shapes: `M` masks, `P` points, `n` segments of an image, `L` planes of an id map, `H, W` pixels.
"""

from dataclasses import dataclass

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


@dataclass
class ImageTargets:
    """
    The segments of one image, as masks or as an id map with the ids of its segments.

    Args:
        maps: masks (n, H, W), bool or any number type, or an integer id map (H, W), or (L, H, W) where segments overlap.
        segment_ids: (n,) ids of the segments in the id map; None for masks. A pixel with another id is in no segment.
    """

    maps: Tensor
    segment_ids: Tensor | None = None

    def __len__(self) -> int:
        return len(self.maps) if self.segment_ids is None else len(self.segment_ids)

    def sample_all(self, points: Tensor) -> Tensor:
        """Values of every segment's mask at the same points: (P, 2) -> (n, P) float32."""
        pixels, weights = bilinear_corners(points, *self.maps.shape[-2:])  # (P, 4)
        if self.segment_ids is None:
            values = self.maps.flatten(1)[:, pixels].to(weights.dtype)  # (n, P, 4)
            return (values * weights).sum(-1)
        ids = self._ids_at(pixels)  # (L, P, 4)
        order = self.segment_ids.argsort()
        sorted_ids = self.segment_ids[order].long()
        place = torch.searchsorted(sorted_ids, ids).clamp(max=max(0, len(self) - 1))
        sums = weights.new_zeros(len(self), len(points))
        if len(self):
            found = sorted_ids[place] == ids
            corners = order[place].transpose(1, 2).flatten(0, 1)  # (L * 4, P)
            sums.scatter_add_(0, corners, (weights * found).transpose(1, 2).flatten(0, 1))
        return sums

    def sample_each(self, segments: Tensor, points: Tensor) -> Tensor:
        """Values of chosen segments' masks, each at its own points: (M,), (M, P, 2) -> (M, P) float32."""
        pixels, weights = bilinear_corners(points, *self.maps.shape[-2:])  # (M, P, 4)
        if self.segment_ids is None:
            values = self.maps.flatten(1)[segments[:, None, None], pixels].to(weights.dtype)
        else:
            values = (self._ids_at(pixels) == self.segment_ids[segments][:, None, None]).any(0)
        return (values * weights).sum(-1)

    def _ids_at(self, pixels: Tensor) -> Tensor:
        """(...) flat pixel indices -> (L, ...) ids."""
        return self.maps.reshape(-1, self.maps.shape[-2] * self.maps.shape[-1])[:, pixels].long()


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
    chosen = uncertainty.topk(num_points - extra.shape[1], dim=1).indices
    return torch.cat([candidates.gather(1, chosen[..., None].expand(-1, -1, 2)), extra], dim=1)
