"""ViT-Adapter, what row 0 of Table 1 has and row 1 drops: convolutional features beside the ViT, which exchange with it four times.

Chen et al., "Vision Transformer Adapter for Dense Predictions", ICLR 2023; the paper's section 3.2.
Shapes: `B` images, `N` patches (h * w), `D` width, `S` spatial tokens: those of the maps at 1/8, 1/16 and 1/32 of the image.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import initialization as init

from eomt.configuration.configuration_eomt_ladder import STAGES, EomtLadderConfig
from eomt.initialization import InitializedModule
from eomt.ladder.deformable_attention import DeformableAttention, map_centres
from eomt.ladder.spatial_prior import AdapterBatchNorm, AdapterConv2d, SpatialPrior

EPS = 1e-6  # of the LayerNorms
Sizes = Sequence[tuple[int, int]]


class AdapterLinear(nn.Linear, InitializedModule):
    """A linear layer with small initial weights."""

    def initialize_tensors(self, config: EomtLadderConfig) -> None:
        init.trunc_normal_(self.weight, std=config.init_std)
        init.zeros_(self.bias)


class Injector(InitializedModule):
    """Patches take up what the spatial tokens know: x + gamma * attention(x, c). At the start gamma is 0 and the ViT its own."""

    def __init__(self, config: EomtLadderConfig):
        super().__init__()
        self.query_norm = nn.LayerNorm(config.hidden_size, eps=EPS)
        self.feature_norm = nn.LayerNorm(config.hidden_size, eps=EPS)
        self.attention = DeformableAttention(config.hidden_size, config.num_attention_heads, num_levels=3)
        self.gamma = nn.Parameter(torch.zeros(config.hidden_size))

    def initialize_tensors(self, config: EomtLadderConfig) -> None:
        init.zeros_(self.gamma)

    def forward(self, patches: Tensor, spatial: Tensor, grid: tuple[int, int], sizes: Sizes) -> Tensor:
        """(B, N, D) and (B, S, D) -> (B, N, D)."""
        centres = map_centres(grid, patches.device)
        return patches + self.gamma * self.attention(self.query_norm(patches), centres, self.feature_norm(spatial), sizes)


class ConvolutionalFFN(nn.Module):
    """Linear, a depthwise 3x3 convolution on each of the maps, GELU, linear. The hidden width is a quarter of the width."""

    def __init__(self, width: int):
        super().__init__()
        self.fc1 = AdapterLinear(width, width // 4)
        self.convolution = AdapterConv2d(width // 4, width // 4, kernel_size=3, padding=1, groups=width // 4)
        self.fc2 = AdapterLinear(width // 4, width)

    def forward(self, spatial: Tensor, sizes: Sizes) -> Tensor:
        """(B, S, D) -> (B, S, D)."""
        maps = as_maps(self.fc1(spatial), sizes)
        return self.fc2(F.gelu(as_tokens([self.convolution(feature) for feature in maps])))


class Extractor(nn.Module):
    """Spatial tokens take up what the patches know: c + attention(c, x), and a convolutional feed-forward."""

    def __init__(self, config: EomtLadderConfig):
        super().__init__()
        self.query_norm = nn.LayerNorm(config.hidden_size, eps=EPS)
        self.feature_norm = nn.LayerNorm(config.hidden_size, eps=EPS)
        self.attention = DeformableAttention(config.hidden_size, config.num_attention_heads, num_levels=1)
        self.ffn_norm = nn.LayerNorm(config.hidden_size, eps=EPS)
        self.ffn = ConvolutionalFFN(config.hidden_size)

    def forward(self, spatial: Tensor, patches: Tensor, grid: tuple[int, int], sizes: Sizes) -> Tensor:
        """(B, S, D) and (B, N, D) -> (B, S, D)."""
        centres = torch.cat([map_centres(size, spatial.device) for size in sizes])
        spatial = spatial + self.attention(self.query_norm(spatial), centres, self.feature_norm(patches), [grid])
        return spatial + self.ffn(self.ffn_norm(spatial), sizes)


class Interaction(nn.Module):
    """An exchange in both directions around a quarter of the encoder's blocks."""

    def __init__(self, config: EomtLadderConfig, num_extractors: int):
        super().__init__()
        self.injector = Injector(config)
        self.extractors = nn.ModuleList(Extractor(config) for _ in range(num_extractors))


class ViTAdapter(InitializedModule):
    """The pyramid of feature maps at 1/4, 1/8, 1/16 and 1/32 of the image, made beside and by the encoder."""

    def __init__(self, config: EomtLadderConfig):
        super().__init__()
        width = config.hidden_size
        self.spatial_prior = SpatialPrior(config.num_channels, width)
        self.level_embed = nn.Parameter(torch.zeros(3, width))
        self.interactions = nn.ModuleList(Interaction(config, 3 if stage == STAGES - 1 else 1) for stage in range(STAGES))
        self.up = AdapterUpscaling(width)
        self.norms = nn.ModuleList(AdapterBatchNorm(width) for _ in range(4))
        self.blocks_between = config.num_hidden_layers // STAGES

    def initialize_tensors(self, config: EomtLadderConfig) -> None:
        init.normal_(self.level_embed)

    def forward(
        self, pixel_values: Tensor, tokens: Tensor, grid: tuple[int, int], encode: Callable[[Tensor, slice], Tensor]
    ) -> list[Tensor]:
        """
        Args:
            pixel_values: (B, 3, H, W), multiples of 32.
            tokens: (B, prefix + N, D), the embeddings. Class token and registers take part in the blocks alone.
            grid: `(h, w)`.
            encode: runs those of the encoder's blocks that a slice names.

        Returns:
            (B, D, H / 4, W / 4) to (B, D, H / 32, W / 32).
        """
        quarter, *maps = self.spatial_prior(pixel_values)
        sizes = [tuple(feature.shape[-2:]) for feature in maps]
        spatial = as_tokens([feature + level[:, None, None] for feature, level in zip(maps, self.level_embed, strict=True)])
        num_prefix = tokens.shape[1] - grid[0] * grid[1]
        encoded = []  # the patches after each interaction, (B, D, h, w)
        for stage, interaction in enumerate(self.interactions):
            prefix, patches = tokens[:, :num_prefix], tokens[:, num_prefix:]
            tokens = torch.cat([prefix, interaction.injector(patches, spatial, grid, sizes)], dim=1)
            tokens = encode(tokens, slice(stage * self.blocks_between, (stage + 1) * self.blocks_between))
            patches = tokens[:, num_prefix:]
            for extractor in interaction.extractors:
                spatial = extractor(spatial, patches, grid, sizes)
            encoded += as_maps(patches, [grid])
        return self._pyramid(quarter, as_maps(spatial, sizes), encoded)

    def _pyramid(self, quarter: Tensor, maps: Sequence[Tensor], encoded: Sequence[Tensor]) -> list[Tensor]:
        """The spatial features, to each of which the patches of one interaction are added, the first to the finest."""
        features = [self.up(maps[0]) + quarter, *maps]
        return [
            norm(feature + F.interpolate(patches, size=feature.shape[-2:], mode="bilinear", align_corners=False))
            for norm, feature, patches in zip(self.norms, features, encoded, strict=True)
        ]


class AdapterUpscaling(nn.ConvTranspose2d, InitializedModule):
    """Doubles height and width: (B, D, h, w) -> (B, D, 2h, 2w)."""

    def __init__(self, width: int):
        super().__init__(width, width, kernel_size=2, stride=2)

    def initialize_tensors(self, config: EomtLadderConfig) -> None:
        init.normal_(self.weight, std=(2 / (4 * self.out_channels)) ** 0.5)
        init.zeros_(self.bias)


def as_tokens(maps: Sequence[Tensor]) -> Tensor:
    """(B, D, h, w) of each map -> (B, sum of h * w, D)."""
    return torch.cat([feature.flatten(2).transpose(1, 2) for feature in maps], dim=1)


def as_maps(tokens: Tensor, sizes: Sizes) -> list[Tensor]:
    """(B, sum of h * w, D) -> (B, D, h, w) for each size."""
    parts = tokens.transpose(1, 2).split([height * width for height, width in sizes], dim=2)
    return [part.unflatten(2, size) for part, size in zip(parts, sizes, strict=True)]
