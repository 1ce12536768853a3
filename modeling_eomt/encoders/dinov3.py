"""The encoder of DINOv3: class and register tokens, rotary positions alone, pre-norm blocks with optional gates.

Siméoni et al., "DINOv3". Names of weights are transformers'.
Shapes: `B` images, `N` tokens, `D` width, `H, W` pixels, `h, w` patches.
"""

import torch
from torch import Tensor, nn
from transformers import initialization as init
from transformers.activations import ACT2FN

from eomt.configuration import EomtDinov3Config
from eomt.encoders.dinov2 import EomtLayer
from eomt.encoders.parts import EomtSelfAttention, exported_projection, patch_grid
from eomt.encoders.rotary import Rotation
from eomt.initialization import InitializedModule
from eomt.recomputing import recomputed


class EomtDinov3PatchEmbeddings(nn.Conv2d):
    """Non-overlapping patches, each projected to a token: (B, 3, H, W) -> (B, h * w, D)."""

    def __init__(self, config: EomtDinov3Config):
        super().__init__(config.num_channels, config.hidden_size, config.patch_size_hw, stride=config.patch_size_hw)

    def grid_of(self, pixel_values: Tensor) -> tuple[int, int]:
        """See [`patch_grid`]."""
        return patch_grid(pixel_values, self.in_channels, self.kernel_size)

    def forward(self, pixel_values: Tensor) -> Tensor:
        pixel_values = pixel_values.to(self.weight.dtype)
        if torch.compiler.is_exporting():
            return exported_projection(pixel_values, self)
        return super().forward(pixel_values).flatten(2).transpose(1, 2)


class EomtDinov3Embeddings(InitializedModule):
    """Class token, register tokens and patch tokens, none with position embeddings: (B, 1 + registers + h * w, D)."""

    def __init__(self, config: EomtDinov3Config):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.hidden_size))
        self.register_tokens = nn.Parameter(torch.zeros(1, config.num_register_tokens, config.hidden_size))
        self.patch_embeddings = EomtDinov3PatchEmbeddings(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.num_prefix_tokens = 1 + config.num_register_tokens

    def initialize_tensors(self, config: EomtDinov3Config) -> None:
        init.trunc_normal_(self.cls_token, std=config.initializer_range)
        init.trunc_normal_(self.register_tokens, std=config.initializer_range)

    def store_grid(self, grid_size: tuple[int, int]) -> None:
        """Changes nothing: angles are computed for each grid, and none is stored."""

    def forward(self, pixel_values: Tensor, grid: tuple[int, int]) -> Tensor:
        """(B, 3, H, W) -> (B, 1 + registers + h * w, D)."""
        patches = self.patch_embeddings(pixel_values)  # (B, h * w, D)
        prefix = torch.cat([self.cls_token, self.register_tokens], dim=1).expand(patches.shape[0], -1, -1)
        return self.dropout(torch.cat([prefix, patches], dim=1))


class EomtDinov3Attention(EomtSelfAttention):
    """Attention under transformers' names for DINOv3, with biases as the configuration says."""

    def __init__(self, config: EomtDinov3Config):
        super().__init__(config)
        width = config.hidden_size
        self.q_proj = nn.Linear(width, width, bias=config.query_bias)
        self.k_proj = nn.Linear(width, width, bias=config.key_bias)
        self.v_proj = nn.Linear(width, width, bias=config.value_bias)
        self.o_proj = nn.Linear(width, width, bias=config.proj_bias)

    def forward(
        self,
        hidden_states: Tensor,
        query_mask: Tensor | None = None,
        rotation: Rotation | None = None,
        key_bias: Tensor | None = None,
        pilot_mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """(B, N, D) -> (B, N, D) and the weights; the arguments are those of [`attend`]."""
        attended, weights = self.attend(hidden_states, query_mask, rotation, key_bias, pilot_mask)
        return self.o_proj(attended), weights


class EomtDinov3MLP(nn.Module):
    """Linear, activation, linear."""

    def __init__(self, config: EomtDinov3Config):
        super().__init__()
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=config.mlp_bias)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=config.mlp_bias)
        self.activation = ACT2FN[config.hidden_act]

    def forward(self, hidden_states: Tensor) -> Tensor:
        return recomputed(lambda hidden: self.down_proj(self.activation(hidden)), self.up_proj(hidden_states))


class EomtDinov3GatedMLP(EomtDinov3MLP):
    """The feed-forward network of S+, H+ and 7B: one half opens and closes the other."""

    def __init__(self, config: EomtDinov3Config):
        super().__init__(config)
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=config.mlp_bias)

    def forward(self, hidden_states: Tensor) -> Tensor:
        gate, hidden = self.gate_proj(hidden_states), self.up_proj(hidden_states)
        return recomputed(lambda gate, hidden: self.down_proj(self.activation(gate) * hidden), gate, hidden)


class EomtDinov3Layer(EomtLayer):
    """A block of DINOv3."""

    attention_class = EomtDinov3Attention

    @staticmethod
    def feed_forward(config: EomtDinov3Config) -> nn.Module:
        return EomtDinov3GatedMLP(config) if config.use_gated_mlp else EomtDinov3MLP(config)
