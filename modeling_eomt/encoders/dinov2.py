"""The encoder of DINOv2's kind: class and register tokens, learned positions, pre-norm blocks (paper, equation 1).

Shapes: `B` images, `Q` queries, `N` tokens, `D` width, `H, W` pixels, `h, w` patches.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from transformers import initialization as init
from transformers.modeling_layers import GradientCheckpointingLayer

from eomt.configuration import EomtConfig
from eomt.encoders.parts import (
    EomtAttention,
    EomtDropPath,
    EomtLayerScale,
    EomtMLP,
    EomtPatchEmbeddings,
    EomtPositionEmbeddings,
    EomtSelfAttention,
    EomtSwiGLUFFN,
)
from eomt.encoders.rotary import Rotation
from eomt.initialization import InitializedModule


class EomtEmbeddings(InitializedModule):
    """Class token, register tokens and patch tokens, the last with position embeddings: (B, 1 + registers + h * w, D)."""

    def __init__(self, config: EomtConfig):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.hidden_size))
        self.register_tokens = nn.Parameter(torch.zeros(1, config.num_register_tokens, config.hidden_size))
        self.patch_embeddings = EomtPatchEmbeddings(config)
        self.position_embeddings = EomtPositionEmbeddings(config.grid_size, config.hidden_size)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.num_prefix_tokens = 1 + config.num_register_tokens

    def initialize_tensors(self, config: EomtConfig) -> None:
        init.trunc_normal_(self.cls_token, std=config.initializer_range)
        init.trunc_normal_(self.register_tokens, std=config.initializer_range)

    @property
    def grid_size(self) -> tuple[int, int]:
        """`(h, w)` of the stored position embeddings."""
        return self.position_embeddings.grid_size

    def store_grid(self, grid_size: tuple[int, int]) -> None:
        """Stores the position embeddings of another grid in place of these."""
        self.position_embeddings = self.position_embeddings.resampled(grid_size)

    def forward(self, pixel_values: Tensor, grid: tuple[int, int]) -> Tensor:
        """(B, 3, H, W) and their `(h, w)` -> (B, 1 + registers + h * w, D)."""
        patches = self.patch_embeddings(pixel_values)  # (B, h * w, D)
        patches = patches + self.position_embeddings(grid)
        prefix = torch.cat([self.cls_token, self.register_tokens], dim=1).expand(patches.shape[0], -1, -1)
        return self.dropout(torch.cat([prefix, patches], dim=1))


class EomtLayer(GradientCheckpointingLayer):
    """
    A pre-norm Transformer block with LayerScale and stochastic depth.

    Attributes:
        attention_class, scale_class: of its parts; another encoder names its own.
    """

    attention_class: type[EomtSelfAttention] = EomtAttention
    scale_class: type[nn.Module] = EomtLayerScale

    def __init__(self, config: EomtConfig):
        super().__init__()
        self.norm1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attention = self.attention_class(config)
        self.layer_scale1 = self.scale_class(config)
        self.norm2 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = self.feed_forward(config)
        self.layer_scale2 = self.scale_class(config)
        self.drop_path = EomtDropPath(config.drop_path_rate)

    @staticmethod
    def feed_forward(config: EomtConfig) -> nn.Module:
        """The feed-forward network of a block."""
        return EomtSwiGLUFFN(config) if config.use_swiglu_ffn else EomtMLP(config)

    def forward(
        self,
        hidden_states: Tensor,
        query_mask: Tensor | None = None,
        rotation: Rotation | None = None,
        key_bias: Tensor | None = None,
        merge: Callable[[Tensor], Tensor] | None = None,
        pilot_mask: Tensor | None = None,
    ) -> Tensor:
        """
        Args:
            hidden_states: (B, N, D), or (B, P + N, D) with piloted queries.
            query_mask, rotation, key_bias, pilot_mask: as in [`EomtSelfAttention.attend`].
            merge: applied between attention and feed-forward network, where similar tokens are merged.

        Returns:
            As `hidden_states`, or fewer tokens after a merge.
        """
        attended, _ = self.attention(self.norm1(hidden_states), query_mask, rotation, key_bias, pilot_mask)
        hidden_states = hidden_states + self.drop_path(self.layer_scale1(attended))
        if merge is not None:
            hidden_states = merge(hidden_states)
        return hidden_states + self.drop_path(self.layer_scale2(self.mlp(self.norm2(hidden_states))))
