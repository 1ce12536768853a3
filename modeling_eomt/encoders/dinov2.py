"""The plain ViT encoder: embeddings and pre-norm blocks of DINOv2's kind (paper, equation 1).

Shapes: `B` images, `Q` queries, `N` tokens, `D` width, `H, W` pixels, `h, w` patches.
"""

import torch
import torch.nn.functional as F
from timm.layers import DropPath
from torch import Tensor, nn
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from eomt.configuration import EomtConfig


def resample_positions(positions: Tensor, old_grid: tuple[int, int], new_grid: tuple[int, int]) -> Tensor:
    """Position embeddings of another patch grid: bicubic, without antialiasing, as DINOv2 does.

    Args:
        positions: (h * w, D), row by row.
        old_grid: `(h, w)` of `positions`.
        new_grid: `(h, w)` wanted.

    Returns:
        (h' * w', D) in the dtype of `positions`; `positions` itself when the grids are equal.
    """
    if tuple(old_grid) == tuple(new_grid):
        return positions
    grid = positions.float().T.reshape(1, -1, *old_grid)  # (1, D, h, w)
    grid = F.interpolate(grid, size=tuple(new_grid), mode="bicubic", align_corners=False, antialias=False)
    return grid.flatten(2)[0].T.to(positions.dtype)


class EomtPatchEmbeddings(nn.Module):
    """Non-overlapping patches, each projected to a token: (B, 3, H, W) -> (B, h * w, D)."""

    def __init__(self, config: EomtConfig):
        super().__init__()
        self.patch_size = config.patch_size_hw
        self.projection = nn.Conv2d(config.num_channels, config.hidden_size, self.patch_size, stride=self.patch_size)

    def grid_of(self, pixel_values: Tensor) -> tuple[int, int]:
        """The `(h, w)` patch grid of a batch of images.

        Raises:
            ValueError: if `pixel_values` is no (B, channels, H, W) batch or a side is no multiple of the patch size.
        """
        channels = self.projection.in_channels
        if pixel_values.dim() != 4 or pixel_values.shape[1] != channels:
            raise ValueError(f"pixel_values has shape {tuple(pixel_values.shape)}; expected (batch, {channels}, height, width)")
        height, width = pixel_values.shape[-2:]
        patch_height, patch_width = self.patch_size
        if not height or not width or height % patch_height or width % patch_width:
            raise ValueError(
                f"pixel_values is {height}x{width} pixels, but height and width must be positive multiples of the patch size "
                f"{patch_height}x{patch_width}; resize or pad the images (EomtImageProcessor does)"
            )
        return height // patch_height, width // patch_width

    def forward(self, pixel_values: Tensor) -> Tensor:
        return self.projection(pixel_values.to(self.projection.weight.dtype)).flatten(2).transpose(1, 2)


class EomtEmbeddings(nn.Module):
    """Class token, register tokens and patch tokens, the last with position embeddings: (B, 1 + registers + h * w, D)."""

    def __init__(self, config: EomtConfig):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.hidden_size))
        self.register_tokens = nn.Parameter(torch.zeros(1, config.num_register_tokens, config.hidden_size))
        self.patch_embeddings = EomtPatchEmbeddings(config)
        self.grid_size = config.grid_size
        self.position_embeddings = nn.Embedding(self.grid_size[0] * self.grid_size[1], config.hidden_size)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.num_prefix_tokens = 1 + config.num_register_tokens

    def forward(self, pixel_values: Tensor, grid: tuple[int, int]) -> Tensor:
        patches = self.patch_embeddings(pixel_values)  # (B, h * w, D)
        # called, not read by its weight: an offloaded module has its weights only while it is called
        positions = self.position_embeddings(torch.arange(self.grid_size[0] * self.grid_size[1], device=patches.device))
        patches = patches + resample_positions(positions, self.grid_size, grid)
        prefix = torch.cat([self.cls_token, self.register_tokens], dim=1).expand(patches.shape[0], -1, -1)
        return self.dropout(torch.cat([prefix, patches], dim=1))


def eager_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **_,
) -> tuple[Tensor, Tensor]:
    """Attention written out, for `output_attentions` and for training in bf16 on a CPU, where it beats the fused kernel.

    Args:
        query: (B, heads, rows, head width); `key` and `value`: (B, heads, N, head width).
        attention_mask: bool, broadcast to (B, heads, rows, N); True may be attended.

    Returns:
        (B, rows, heads, head width), and the weights (B, heads, rows, N).
    """
    scores = (query * scaling) @ key.transpose(-1, -2)  # (B, heads, rows, N)
    if attention_mask is not None:
        scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    weights = scores.softmax(-1)  # in half precision the kernel itself sums in float32
    attended = F.dropout(weights, p=dropout, training=module.training) @ value
    return attended.transpose(1, 2), weights


class EomtAttention(nn.Module):
    """Multi-head self-attention in which the first tokens, the queries, may be kept from part of the patches."""

    def __init__(self, config: EomtConfig):
        super().__init__()
        self.config = config
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.scaling = self.head_dim**-0.5
        self.is_causal = False
        self.q_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.k_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.v_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.out_proj = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden_states: Tensor, query_mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """
        Args:
            hidden_states: (B, N, D).
            query_mask: bool (B, 1, Q, N), what each of the first Q tokens may attend to. All other tokens attend to
                everything, so they run as a second, unmasked call and no N x N mask exists.

        Returns:
            (B, N, D), and the weights (B, heads, N, N) where the implementation gives them.
        """
        shape = (*hidden_states.shape[:-1], -1, self.head_dim)
        query = self.q_proj(hidden_states).view(shape).transpose(1, 2)  # (B, heads, N, head width)
        key = self.k_proj(hidden_states).view(shape).transpose(1, 2)
        value = self.v_proj(hidden_states).view(shape).transpose(1, 2)
        if query_mask is None:
            attended, weights = self._attend(query, key, value, None)
        else:
            masked, open_ = query.split([query_mask.shape[2], query.shape[2] - query_mask.shape[2]], dim=2)
            masked, masked_weights = self._attend(masked, key, value, query_mask)
            open_, open_weights = self._attend(open_, key, value, None)
            attended = torch.cat([masked, open_], dim=1)
            weights = None if open_weights is None else torch.cat([masked_weights, open_weights], dim=2)
        return self.out_proj(attended.reshape(hidden_states.shape)), weights

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        implementation = self.config._attn_implementation
        if mask is not None and implementation != "eager":
            implementation = "sdpa"  # flash takes no mask and flex wants a block mask: the few masked rows run on sdpa
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(implementation, eager_attention)
        dropout = self.config.attention_dropout if self.training else 0.0
        return attend(self, query, key, value, mask, scaling=self.scaling, dropout=dropout, is_causal=False)


class EomtLayerScale(nn.Module):
    """A learnable factor for each channel of a residual branch."""

    def __init__(self, config: EomtConfig):
        super().__init__()
        self.lambda1 = nn.Parameter(torch.full((config.hidden_size,), float(config.layerscale_value)))

    def forward(self, hidden_states: Tensor) -> Tensor:
        return hidden_states * self.lambda1


class EomtMLP(nn.Module):
    """Linear, activation, linear."""

    def __init__(self, config: EomtConfig):
        super().__init__()
        width = int(config.hidden_size * config.mlp_ratio)
        self.fc1 = nn.Linear(config.hidden_size, width)
        self.activation = ACT2FN[config.hidden_act]
        self.fc2 = nn.Linear(width, config.hidden_size)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.fc2(self.activation(self.fc1(hidden_states)))


class EomtSwiGLUFFN(nn.Module):
    """SiLU-gated feed-forward of ViT-g; its width is two thirds of the MLP's, rounded up to a multiple of 8."""

    def __init__(self, config: EomtConfig):
        super().__init__()
        width = (int(int(config.hidden_size * config.mlp_ratio) * 2 / 3) + 7) // 8 * 8
        self.gate_proj = nn.Linear(config.hidden_size, width)
        self.up_proj = nn.Linear(config.hidden_size, width)
        self.down_proj = nn.Linear(width, config.hidden_size)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(hidden_states)) * self.up_proj(hidden_states))


class EomtLayer(GradientCheckpointingLayer):
    """A pre-norm Transformer block with LayerScale and stochastic depth."""

    def __init__(self, config: EomtConfig):
        super().__init__()
        self.norm1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attention = EomtAttention(config)
        self.layer_scale1 = EomtLayerScale(config)
        self.norm2 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = EomtSwiGLUFFN(config) if config.use_swiglu_ffn else EomtMLP(config)
        self.layer_scale2 = EomtLayerScale(config)
        self.drop_path = DropPath(config.drop_path_rate)

    def forward(self, hidden_states: Tensor, query_mask: Tensor | None = None) -> Tensor:
        """(B, N, D) -> (B, N, D); `query_mask` as in [`EomtAttention`]."""
        attended, _ = self.attention(self.norm1(hidden_states), query_mask)
        hidden_states = hidden_states + self.drop_path(self.layer_scale1(attended))
        return hidden_states + self.drop_path(self.layer_scale2(self.mlp(self.norm2(hidden_states))))
