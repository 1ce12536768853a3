"""The parts that encoders are made of: patches, positions, attention, feed-forward networks, LayerScale, stochastic depth.

Shapes: `B` images, `Q` queries, `N` tokens, `D` width, `H, W` pixels, `h, w` patches.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from eomt.encoders.rotary import Rotation
from eomt.initialization import InitializedModule
from eomt.recomputing import recomputed


def resample_positions(positions: Tensor, old_grid: tuple[int, int], new_grid: tuple[int, int]) -> Tensor:
    """Position embeddings of another patch grid: bicubic with antialiasing, as timm, whose ViTs the paper uses, resizes them.

    Antialiasing matters for larger grids as well: PyTorch then uses another bicubic kernel (a = -.5 instead of -.75).

    Args:
        positions: (h * w, D), row by row.
        old_grid: `(h, w)` of `positions`.
        new_grid: `(h, w)` wanted.

    Returns:
        (h' * w', D) in the dtype of `positions`; `positions` itself when the grids are equal.
    """
    # a graph for any size has no such branch: traced at one size, it must resample at every other
    for_any_size = torch.compiler.is_exporting() and any(isinstance(side, torch.SymInt) for side in new_grid)
    if not for_any_size and tuple(old_grid) == tuple(new_grid):
        return positions
    grid = positions.float().T.reshape(1, -1, *old_grid)  # (1, D, h, w)
    grid = F.interpolate(grid, size=tuple(new_grid), mode="bicubic", antialias=True)
    return grid.flatten(2)[0].T.to(positions.dtype)


def patch_grid(pixel_values: Tensor, num_channels: int, patch_size: tuple[int, int]) -> tuple[int, int]:
    """The `(h, w)` patch grid of a batch of images.

    Raises:
        ValueError: if `pixel_values` is no (B, channels, H, W) batch or a side is no multiple of the patch size.
    """
    if pixel_values.dim() != 4 or pixel_values.shape[1] != num_channels:
        raise ValueError(f"pixel_values has shape {tuple(pixel_values.shape)}; expected (batch, {num_channels}, height, width)")
    height, width = pixel_values.shape[-2:]
    patch_height, patch_width = patch_size
    if not height or not width or height % patch_height or width % patch_width:
        raise ValueError(
            f"pixel_values is {height}x{width} pixels, but height and width must be positive multiples of the patch size "
            f"{patch_height}x{patch_width}; resize or pad the images (EomtImageProcessor does)"
        )
    return height // patch_height, width // patch_width


def exported_projection(pixel_values: Tensor, projection: nn.Conv2d) -> Tensor:
    """The projection of patches in an exported graph, as a matrix product: (B, 3, H, W) -> (B, h * w, D).

    A convolution would drop the pixels off the patch grid, and a graph has no [`patch_grid`] that refuses them; the reshape to
    patches fails. The product can be quantized as well.
    """
    batch, channels, height, width = pixel_values.shape
    patch_height, patch_width = projection.kernel_size
    patches = pixel_values.reshape(batch, channels, height // patch_height, patch_height, width // patch_width, patch_width)
    patches = patches.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)  # (B, h * w, 3 * pixels of a patch)
    return F.linear(patches, projection.weight.flatten(1), projection.bias)


class EomtPatchEmbeddings(nn.Module):
    """Non-overlapping patches, each projected to a token: (B, 3, H, W) -> (B, h * w, D)."""

    def __init__(self, config: PreTrainedConfig):
        super().__init__()
        self.patch_size = config.patch_size_hw
        self.projection = nn.Conv2d(config.num_channels, config.hidden_size, self.patch_size, stride=self.patch_size)

    def grid_of(self, pixel_values: Tensor) -> tuple[int, int]:
        """See [`patch_grid`]."""
        return patch_grid(pixel_values, self.projection.in_channels, self.patch_size)

    def forward(self, pixel_values: Tensor) -> Tensor:
        pixel_values = pixel_values.to(self.projection.weight.dtype)
        if torch.compiler.is_exporting():
            return exported_projection(pixel_values, self.projection)
        return self.projection(pixel_values).flatten(2).transpose(1, 2)


class EomtPositionEmbeddings(nn.Embedding, InitializedModule):
    """A learnable vector for each patch of the stored grid, resampled to the grid of the images at hand."""

    def __init__(self, grid_size: tuple[int, int], width: int):
        super().__init__(grid_size[0] * grid_size[1], width)
        self.grid_size = grid_size

    def initialize_tensors(self, config: PreTrainedConfig) -> None:
        """Sines and cosines (Beyer et al., "Better plain ViT baselines"), so that an encoder trained from scratch knows its
        neighbourhoods at once."""
        from timm.layers import build_sincos2d_pos_embed  # slow to import, and only new models need it

        init.copy_(self.weight, build_sincos2d_pos_embed(list(self.grid_size), config.hidden_size))

    @torch.no_grad()
    def resampled(self, grid_size: tuple[int, int]) -> "EomtPositionEmbeddings":
        """A copy that stores another grid."""
        copy = type(self)(grid_size, self.embedding_dim)
        values = resample_positions(self.weight, self.grid_size, grid_size).clone()
        copy.weight = nn.Parameter(values, requires_grad=self.weight.requires_grad)
        return copy

    def forward(self, grid: tuple[int, int]) -> Tensor:
        """`(h, w)` -> (h * w, D)."""
        return resample_positions(self.weight, self.grid_size, grid)


def wanting_gradients(hidden_states: Tensor, layer: GradientCheckpointingLayer) -> Tensor:
    """The input of a checkpointed block, made to want a gradient where only the block's parameters do, after frozen blocks.

    Reentrant checkpointing gives no parameter a gradient unless an input of the block wants one.
    """
    checkpointed = layer.gradient_checkpointing and layer.training and torch.is_grad_enabled()
    if checkpointed and not hidden_states.requires_grad and any(p.requires_grad for p in layer.parameters()):
        hidden_states.requires_grad_()
    return hidden_states


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
        attention_mask: broadcast to (B, heads, rows, N): bool, where True may be attended, or numbers to add to the scores.

    Returns:
        (B, rows, heads, head width), and the weights (B, heads, rows, N).
    """
    scores = (query * scaling) @ key.transpose(-1, -2)  # (B, heads, rows, N)
    if attention_mask is not None and attention_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    elif attention_mask is not None:
        scores = scores + attention_mask
    weights = scores.softmax(-1)  # in half precision the kernel itself sums in float32
    attended = F.dropout(weights, p=dropout, training=module.training) @ value
    return attended.transpose(1, 2), weights


class EomtSelfAttention(nn.Module):
    """
    Multi-head self-attention in which the first tokens, the queries, may be kept from part of the patches.

    A subclass holds the projections: `q_proj`, `k_proj` and `v_proj`, and the one that its `forward` puts after [`attend`].
    """

    q_proj: nn.Linear
    k_proj: nn.Linear
    v_proj: nn.Linear

    def __init__(self, config: PreTrainedConfig):
        super().__init__()
        self.config = config
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.scaling = self.head_dim**-0.5
        self.is_causal = False

    def attend(
        self,
        hidden_states: Tensor,
        query_mask: Tensor | None,
        rotation: Rotation | None,
        key_bias: Tensor | None,
        pilot_mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """
        Args:
            hidden_states: (B, N, D), or (B, P + N, D) with P piloted queries in front.
            query_mask: bool (B, 1, Q, N), what each of the first Q tokens may attend to. There is none with merged tokens.
            rotation: of the patches, the last of the tokens, where the encoder has rotary positions.
            key_bias: (B, 1, 1, n), what is added to the scores of the last n keys, the patches, where tokens are merged.
            pilot_mask: bool (B, 1, P, P + N), what each piloted query may attend to. No other token attends to one of them.

        Returns:
            `hidden_states` before the output projection, and the weights (B, heads, N, N) where the implementation gives them.
        """
        shape = (*hidden_states.shape[:-1], -1, self.head_dim)
        query = self.q_proj(hidden_states).view(shape).transpose(1, 2)  # (B, heads, N, head width)
        key = self.k_proj(hidden_states).view(shape).transpose(1, 2)
        value = self.v_proj(hidden_states).view(shape).transpose(1, 2)
        if rotation is not None:
            query, key = rotation.apply(query), rotation.apply(key)
        if pilot_mask is None:
            attended, weights = self._attend_masked(query, key, value, query_mask, key_bias)
        else:
            pilots = pilot_mask.shape[2]
            piloted, _ = self._attend(query[:, :, :pilots], key, value, pilot_mask)
            others = (states[:, :, pilots:] for states in (query, key, value))
            attended, weights = self._attend_masked(*others, query_mask, key_bias)
            attended = torch.cat([piloted, attended], dim=1)
        return attended.reshape(hidden_states.shape), weights

    def _attend_masked(
        self, query: Tensor, key: Tensor, value: Tensor, query_mask: Tensor | None, key_bias: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """The attention of all tokens but piloted queries: (B, heads, N, head width) three times -> (B, N, heads, head width)."""
        if query_mask is None:
            bias = None if key_bias is None else F.pad(key_bias, (key.shape[2] - key_bias.shape[3], 0)).to(query.dtype)
            return self._attend(query, key, value, bias)
        # Only queries are restricted; all other tokens attend to everything. So the rows are split into a masked and an
        # unmasked call, and the mask has Q x N entries for all heads instead of N x N for each.
        num_queries = query_mask.shape[2]
        masked, open_ = query.split([num_queries, query.shape[2] - num_queries], dim=2)
        masked, masked_weights = self._attend(masked, key, value, query_mask)
        open_, open_weights = self._attend(open_, key, value, None)
        weights = None if open_weights is None else torch.cat([masked_weights, open_weights], dim=2)
        return torch.cat([masked, open_], dim=1), weights

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        implementation = self.config._attn_implementation
        if mask is not None and implementation != "eager":
            implementation = "sdpa"  # flash takes no mask and no bias, and flex wants a block mask: these rows run on sdpa
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(implementation, eager_attention)
        dropout = self.config.attention_dropout if self.training else 0.0
        return attend(self, query, key, value, mask, scaling=self.scaling, dropout=dropout, is_causal=False)


class EomtAttention(EomtSelfAttention):
    """Self-attention with biases in all four projections."""

    def __init__(self, config: PreTrainedConfig):
        super().__init__(config)
        self.q_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.k_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.v_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.out_proj = nn.Linear(config.hidden_size, config.hidden_size)

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
        return self.out_proj(attended), weights


class EomtLayerScale(InitializedModule):
    """A learnable factor for each channel of a residual branch (Touvron et al., "Going deeper with Image Transformers")."""

    def __init__(self, config: PreTrainedConfig):
        super().__init__()
        self.lambda1 = nn.Parameter(torch.full((config.hidden_size,), float(config.layerscale_value)))

    def initialize_tensors(self, config: PreTrainedConfig) -> None:
        init.constant_(self.lambda1, config.layerscale_value)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return hidden_states * self.lambda1


class EomtDropPath(nn.Module):
    """Stochastic depth: in training, a residual branch is left out of an image with probability `rate`, and scaled up else
    (Huang et al., "Deep Networks with Stochastic Depth")."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, branch: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        if not self.training or not self.rate:
            return branch
        kept = branch.new_empty(len(branch), 1, 1).bernoulli_(1 - self.rate)  # (B, 1, 1)
        return branch * (kept.div_(1 - self.rate) if self.rate < 1 else kept)


class EomtMLP(nn.Module):
    """Linear, activation, linear."""

    def __init__(self, config: PreTrainedConfig):
        super().__init__()
        width = int(config.hidden_size * config.mlp_ratio)
        self.fc1 = nn.Linear(config.hidden_size, width)
        self.activation = ACT2FN[config.hidden_act]
        self.fc2 = nn.Linear(width, config.hidden_size)

    def forward(self, hidden_states: Tensor) -> Tensor:
        return recomputed(lambda hidden: self.fc2(self.activation(hidden)), self.fc1(hidden_states))


class EomtSwiGLUFFN(nn.Module):
    """SiLU-gated feed-forward of ViT-g; its width is two thirds of the MLP's, rounded up to a multiple of 8."""

    def __init__(self, config: PreTrainedConfig):
        super().__init__()
        width = (int(int(config.hidden_size * config.mlp_ratio) * 2 / 3) + 7) // 8 * 8
        self.gate_proj = nn.Linear(config.hidden_size, width)
        self.up_proj = nn.Linear(config.hidden_size, width)
        self.down_proj = nn.Linear(width, config.hidden_size)

    def forward(self, hidden_states: Tensor) -> Tensor:
        gate, hidden = self.gate_proj(hidden_states), self.up_proj(hidden_states)
        return recomputed(lambda gate, hidden: self.down_proj(F.silu(gate) * hidden), gate, hidden)
