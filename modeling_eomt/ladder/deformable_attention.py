"""Multi-scale deformable attention: a query reads few points of each map, at offsets that it predicts itself.

Zhu et al., "Deformable DETR", with values of half the width as in ViT-Adapter.
Shapes: `B` images, `N` queries, `S` levels (feature maps), `P` points a level, `M` heads, `D` width, `h, w` of a map.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers import initialization as init

from eomt.initialization import InitializedModule

POINTS = 4


def map_centres(size: tuple[int, int], device: torch.device) -> Tensor:
    """Centres of a map's cells as shares of its width and height, x first: `(h, w)` -> (h * w, 2) float32."""
    centres = [(torch.arange(count, device=device, dtype=torch.float32) + 0.5) / count for count in size]
    y, x = torch.meshgrid(*centres, indexing="ij")
    return torch.stack([x, y], dim=-1).flatten(0, 1)


class SamplingOffsets(nn.Linear, InitializedModule):
    """Predicts the offsets. At the start head `m` looks into direction `m` of a circle, point `p` at a distance of `p + 1`."""

    def __init__(self, width: int, num_heads: int, num_levels: int):
        super().__init__(width, num_heads * num_levels * POINTS * 2)
        self.num_heads, self.num_levels = num_heads, num_levels

    def initialize_tensors(self, config: PreTrainedConfig) -> None:
        angles = torch.arange(self.num_heads) * (2 * math.pi / self.num_heads)
        directions = torch.stack([angles.cos(), angles.sin()], dim=-1)  # (M, 2)
        directions = directions / directions.abs().amax(dim=-1, keepdim=True)
        distances = torch.arange(1, POINTS + 1)[:, None]  # (P, 1)
        offsets = (directions[:, None, None] * distances).expand(-1, self.num_levels, -1, -1)  # (M, S, P, 2)
        init.zeros_(self.weight)
        init.copy_(self.bias, offsets.reshape(-1))


class PointWeights(nn.Linear, InitializedModule):
    """Predicts the weights of the points, equal ones at the start."""

    def initialize_tensors(self, config: PreTrainedConfig) -> None:
        init.zeros_(self.weight)
        init.zeros_(self.bias)


class XavierLinear(nn.Linear, InitializedModule):
    """A linear layer with Xavier's initial weights."""

    def initialize_tensors(self, config: PreTrainedConfig) -> None:
        init.xavier_uniform_(self.weight)
        init.zeros_(self.bias)


class DeformableAttention(nn.Module):
    """
    Attention to a few points of each map.

    Args:
        width: `D` of queries and maps.
        num_heads: `M`.
        num_levels: `S`.
        ratio: width of the values over `D`.
    """

    def __init__(self, width: int, num_heads: int, num_levels: int, ratio: float = 0.5):
        super().__init__()
        self.num_heads = num_heads
        self.sampling_offsets = SamplingOffsets(width, num_heads, num_levels)
        self.attention_weights = PointWeights(width, num_heads * num_levels * POINTS)
        self.value_proj = XavierLinear(width, int(width * ratio))
        self.output_proj = XavierLinear(int(width * ratio), width)

    def forward(self, queries: Tensor, centres: Tensor, values: Tensor, sizes: Sequence[tuple[int, int]]) -> Tensor:
        """
        Args:
            queries: (B, N, D).
            centres: (N, 2) in [0, 1], x first: where in every map a query stands.
            values: (B, sum of h * w, D), the maps one after the other, row by row.
            sizes: `(h, w)` of each map.

        Returns:
            (B, N, D).
        """
        batch, count, _ = queries.shape
        heads, levels = self.num_heads, len(sizes)
        # locations in float32: bfloat16 has 3 digits, too few to tell the cells of a large map apart
        offsets = self.sampling_offsets(queries).float().view(batch, count, heads, levels, POINTS, 2)
        weights = self.attention_weights(queries).float().view(batch, count, heads, -1).softmax(-1)  # (B, N, M, S * P)
        cells = torch.tensor([(w, h) for h, w in sizes], dtype=torch.float32, device=queries.device)  # (S, 2)
        locations = centres[:, None, None, None] + offsets / cells[:, None]  # (B, N, M, S, P, 2)
        grids = (2 * locations - 1).transpose(1, 2).flatten(0, 1)  # (B * M, N, S, P, 2)

        projected = self.value_proj(values)
        maps = projected.float().unflatten(2, (heads, -1)).permute(0, 2, 3, 1).flatten(0, 1)  # (B * M, D / M, sum of h * w)
        sampled = [
            F.grid_sample(part.unflatten(2, size), grids[:, :, level], align_corners=False)  # bilinear, zeros outside
            for level, (part, size) in enumerate(zip(maps.split([h * w for h, w in sizes], dim=2), sizes, strict=True))
        ]
        points = torch.cat(sampled, dim=-1)  # (B * M, D / M, N, S * P)
        attended = (points * weights.transpose(1, 2).flatten(0, 1)[:, None]).sum(-1)  # (B * M, D / M, N)
        return self.output_proj(attended.view(batch, -1, count).transpose(1, 2).to(projected.dtype))
