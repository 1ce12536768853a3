"""The encoder of EVA-02: class token, learned and rotary positions, gated feed-forward networks with a norm inside, no LayerScale.

Fang et al., "EVA-02". Shapes: `B` images, `N` tokens, `D` width, `F` hidden width, `h, w` patches, `E` width of a head.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eomt.configuration import EomtEva02Config
from eomt.encoders.dinov2 import EomtLayer
from eomt.encoders.parts import EomtAttention
from eomt.encoders.rotary import Rotation, axial_angles, coordinates_of, patch_indices
from eomt.randomness import ImageDraws
from eomt.recomputing import recomputed


def partner_in_pair(states: Tensor) -> Tensor:
    """Channel 2j is turned with channel 2j + 1: (a, b) -> (-b, a)."""
    first, second = states.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([-second, first], dim=-1).flatten(-2)


class EomtEva02RotaryEmbedding(nn.Module):
    """EVA-02's angles: patch indices, scaled so that any grid spans that of the pre-training. Nothing is drawn in training."""

    def __init__(self, config: EomtEva02Config):
        super().__init__()
        self.config = config

    def forward(self, grid: tuple[int, int], pixel_values: Tensor, draws: ImageDraws) -> Rotation:
        """`(h, w)` -> the rotation of h * w patches, shared by the images."""
        span = self.config.rope_reference_grid
        y, x = (index / count * span for index, count in zip(patch_indices(grid, pixel_values.device), grid, strict=True))
        head_width = self.config.hidden_size // self.config.num_attention_heads
        angles = axial_angles(coordinates_of(y, x), self.config.rope_theta, head_width)
        angles = angles.repeat_interleave(2, dim=-1)[:, None]  # (1, 1, h * w, E)
        return Rotation.by(angles, partner_in_pair)


class EomtEva02Attention(EomtAttention):
    """Self-attention without a bias of the keys."""

    def __init__(self, config: EomtEva02Config):
        super().__init__(config)
        self.k_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=False)


class EomtEva02MLP(nn.Module):
    """SiLU-gated feed-forward whose hidden values are normalised before the last layer."""

    def __init__(self, config: EomtEva02Config):
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size)
        self.norm = nn.LayerNorm(config.intermediate_size, eps=config.layer_norm_eps)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, hidden_states: Tensor) -> Tensor:
        gate, hidden = self.gate_proj(hidden_states), self.up_proj(hidden_states)  # (B, N, F)
        return recomputed(lambda gate, hidden: self.down_proj(self.norm(F.silu(gate) * hidden)), gate, hidden)


class EomtEva02Layer(EomtLayer):
    """A block of EVA-02."""

    attention_class = EomtEva02Attention
    scale_class = nn.Identity

    @staticmethod
    def feed_forward(config: EomtEva02Config) -> nn.Module:
        return EomtEva02MLP(config)
