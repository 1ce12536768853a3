"""Rotary positions: patches carry their place as angles by which the attention turns queries and keys.

Su et al., "RoFormer"; in two dimensions as in DINOv3. Shapes: `B` images, `N` tokens, `h, w` patches, `E` width of a head.
"""

import math
from collections.abc import Callable
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from eomt.configuration import EomtBaseConfig, EomtDinov3Config
from eomt.randomness import ImageDraws


class Rotation(NamedTuple):
    """The angles of the patch tokens, in float32 whatever the model's type: in bfloat16 a cosine is off by up to .002.

    Args:
        angles: (B or 1, 1, n, E), of each channel; n is h * w, or fewer where tokens are merged.
        cos, sin: of the angles.
        partner: gives each channel the one with which it is turned, with its sign: (..., E) -> (..., E).
    """

    angles: Tensor
    cos: Tensor
    sin: Tensor
    partner: Callable[[Tensor], Tensor]

    @classmethod
    def by(cls, angles: Tensor, partner: Callable[[Tensor], Tensor]) -> Self:
        """The rotation by angles, of the shape above."""
        return cls(angles, angles.cos(), angles.sin(), partner)

    def apply(self, states: Tensor) -> Tensor:
        """Turns the last n tokens of (B, heads, N, E). Tokens in front have no position in the image and stay as they are."""
        num_others = states.shape[2] - self.cos.shape[2]
        others, patches = states[:, :, :num_others], states[:, :, num_others:]
        turned = patches * self.cos + self.partner(patches) * self.sin
        return torch.cat([others, turned.to(states.dtype)], dim=2)


def partner_in_other_half(states: Tensor) -> Tensor:
    """Channel j is turned with channel j + E / 2: (a, b) -> (-b, a)."""
    first, second = states.chunk(2, dim=-1)
    return torch.cat([-second, first], dim=-1)


def patch_indices(grid: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Of rows (h,) and of columns (w,), in float32."""
    rows, columns = (torch.arange(count, device=device, dtype=torch.float32) for count in grid)
    return rows, columns


def coordinates_of(y: Tensor, x: Tensor) -> Tensor:
    """(h,) and (w,) -> (1, h * w, 2), y first."""
    return torch.stack(torch.meshgrid(y, x, indexing="ij"), dim=-1).reshape(1, -1, 2)


def axial_angles(coordinates: Tensor, base: float, head_width: int) -> Tensor:
    """(B, h * w, 2) -> (B, h * w, E / 2): each axis times E / 4 frequencies from 1 down towards 1 / base, y's first."""
    quarter = head_width // 4
    frequencies = base ** -(torch.arange(quarter, device=coordinates.device, dtype=torch.float32) / quarter)
    return (coordinates[..., None] * frequencies).flatten(2)


class EomtNoRotation(nn.Module):
    """Of encoders whose positions are all in the embeddings."""

    def __init__(self, config: EomtBaseConfig):
        super().__init__()

    def forward(self, grid: tuple[int, int], pixel_values: Tensor, draws: ImageDraws) -> None:
        return None


class EomtDinov3RotaryEmbedding(nn.Module):
    """DINOv3's angles: coordinates of patch centres within (-1, 1), each axis by its count, so that any grid spans the same.

    In training, the coordinates of an image are shifted, stretched and scaled at random, as the configuration says.
    The frequencies are computed and never stored, so that no cast of the model reaches them.
    """

    def __init__(self, config: EomtDinov3Config):
        super().__init__()
        self.config = config

    def forward(self, grid: tuple[int, int], pixel_values: Tensor, draws: ImageDraws) -> Rotation:
        """
        Args:
            grid: `(h, w)`.
            pixel_values: (B, 3, H, W), for their number and device.
            draws: source of the random numbers.
        """
        y, x = (2 * (index + 0.5) / count - 1 for index, count in zip(patch_indices(grid, pixel_values.device), grid, strict=True))
        coordinates = coordinates_of(y, x)
        if self.training:
            coordinates = self._augmented(coordinates, len(pixel_values), draws)
        head_width = self.config.hidden_size // self.config.num_attention_heads
        angles = axial_angles(2 * math.pi * coordinates, self.config.rope_parameters["rope_theta"], head_width)
        angles = angles.tile(2)[:, None]  # (B or 1, 1, h * w, E)
        return Rotation.by(angles, partner_in_other_half)

    def _augmented(self, coordinates: Tensor, batch: int, draws: ImageDraws) -> Tensor:
        """(1, h * w, 2) -> (B, h * w, 2): every image with draws of its own, so that no split of a batch changes them."""

        def drawn(purpose: str, limit: float, count: int) -> Tensor:
            """(B, 1, count) in [-limit, limit)."""
            uniform = draws.uniform(f"coordinate {purpose}", [1] * batch, (count,), coordinates.device)
            return ((2 * uniform - 1) * limit)[:, None]

        if self.config.pos_embed_shift is not None:
            coordinates = coordinates + drawn("shift", self.config.pos_embed_shift, 2)
        if self.config.pos_embed_jitter is not None:
            coordinates = coordinates * drawn("jitter", math.log(self.config.pos_embed_jitter), 2).exp()
        if self.config.pos_embed_rescale is not None:
            coordinates = coordinates * drawn("rescale", math.log(self.config.pos_embed_rescale), 1).exp()
        return coordinates
