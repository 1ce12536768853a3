"""Mask2Former's decoders, of transformers, as the rows of Table 1 use them: the pixel decoder and the Transformer decoder.

Cheng et al., "Masked-attention Mask Transformer for Universal Image Segmentation"; the paper's section 3.1.
Shapes: `B` images, `Q` queries, `D` width of the encoder, `W` width of the decoders, `M` heads, `H, W` pixels, `h, w` of a map.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Mask2FormerConfig
from transformers.models.mask2former import modeling_mask2former as mask2former
from transformers.utils.generic import maybe_autocast

from eomt.configuration import EomtLadderConfig

HEADS = 8


def mask2former_config(config: EomtLadderConfig) -> Mask2FormerConfig:
    """Mask2Former's configuration at the width of a ladder's decoders; its backbone is not used."""
    width = config.decoder_width
    return Mask2FormerConfig(
        feature_size=width,
        mask_feature_size=width,
        hidden_dim=width,
        num_attention_heads=HEADS,
        encoder_layers=config.pixel_decoder_layers,
        encoder_feedforward_dim=4 * width,
        decoder_layers=config.decoder_layers + 1,  # transformers counts the initial prediction as a layer
        dim_feedforward=8 * width,
        num_queries=config.num_queries,
        enforce_input_projection=config.row == 2,
    )


class SinePositions(mask2former.Mask2FormerSinePositionEmbedding):
    """Positions computed in float32: in bfloat16 they would be off by .035."""

    def __init__(self, width: int):
        super().__init__(num_position_features=width // 2, normalize=True)

    def forward(self, shape: torch.Size, device: torch.device, dtype: torch.dtype, mask: Tensor | None = None) -> Tensor:
        return super().forward(shape, device, torch.float32, mask).to(dtype)


class DecodedFeatures(NamedTuple):
    """What the Transformer decoder works on."""

    mask_features: Tensor  # (B, W, H / 4, W / 4), multiplied with the queries' mask embeddings
    levels: list[Tensor]  # three of (B, D or W, h, w), which the layers attend to in turn, the coarsest first


class PixelDecoder(mask2former.Mask2FormerPixelDecoder):
    """Deformable attention among the maps at 1/32, 1/16 and 1/8, and the fusion with that at 1/4 (rows 0 and 1).

    It runs in float32 under autocast, as in Mask2Former's code, since it computes sampling locations in its inputs' type.
    """

    def __init__(self, config: EomtLadderConfig):
        super().__init__(mask2former_config(config), feature_channels=[config.hidden_size] * 4)
        self.position_embedding = SinePositions(config.decoder_width)
        # anew: transformers makes it of memory as it is, on the CPU whatever the default device
        self.level_embed = nn.Parameter(torch.zeros(3, config.decoder_width))

    def forward(self, maps: Sequence[Tensor]) -> DecodedFeatures:
        """Four of (B, D, h, w), the finest first."""
        dtype = self.mask_projection.weight.dtype
        with maybe_autocast(maps[0].device.type, enabled=False):
            decoded = super().forward([feature.to(dtype) for feature in maps])
        return DecodedFeatures(decoded.mask_features, list(decoded.multi_scale_features))


class MultiScaleProjection(nn.Module):
    """The pyramid without a pixel decoder: a 1x1 convolution makes the mask features (row 2). The decoder projects the levels."""

    def __init__(self, config: EomtLadderConfig):
        super().__init__()
        self.mask_projection = nn.Conv2d(config.hidden_size, config.decoder_width, kernel_size=1)

    def forward(self, maps: Sequence[Tensor]) -> DecodedFeatures:
        """Four of (B, D, h, w), the finest first."""
        quarter, *levels = maps
        return DecodedFeatures(self.mask_projection(quarter), levels[::-1])


class SingleScaleProjection(nn.Module):
    """The patches for every layer, projected once for all (row 3)."""

    def __init__(self, config: EomtLadderConfig):
        super().__init__()
        self.mask_projection = nn.Conv2d(config.hidden_size, config.decoder_width, kernel_size=1)
        self.level_projection = nn.Conv2d(config.hidden_size, config.decoder_width, kernel_size=1)

    def forward(self, maps: Sequence[Tensor]) -> DecodedFeatures:
        """(B, D, H / 4, W / 4) and (B, D, h, w)."""
        quarter, patches = maps
        return DecodedFeatures(self.mask_projection(quarter), [self.level_projection(patches)] * 3)


class Memory(NamedTuple):
    """What queries attend to, by level."""

    features: list[Tensor]  # (h * w, B, W)
    positions: list[Tensor]  # (h * w, B, W)
    sizes: list[tuple[int, int]]


class TransformerDecoder(mask2former.Mask2FormerTransformerModule):
    """
    Queries, and the layers in which they attend to the features and to each other.

    Transformers runs all layers in one go and masks each of them. Here a layer is a step of its own, so that masks can be annealed.
    """

    def __init__(self, config: EomtLadderConfig):
        in_features = config.hidden_size if config.row == 2 else config.decoder_width
        super().__init__(in_features, mask2former_config(config))
        self.position_embedder = SinePositions(config.decoder_width)

    @property
    def num_layers(self) -> int:
        return len(self.decoder.layers)

    def initial_queries(self, batch: int) -> Tensor:
        """(Q, B, W)."""
        return self.queries_features.weight[:, None].expand(-1, batch, -1)

    def memory(self, levels: Sequence[Tensor]) -> Memory:
        """Projects the levels and gives each its embedding and positions."""
        projected = [project(level) for project, level in zip(self.input_projections, levels, strict=True)]
        positions = [self.position_embedder(level.shape, level.device, level.dtype) for level in projected]
        embedded = [level + embed[:, None, None] for level, embed in zip(projected, self.level_embed.weight, strict=True)]
        return Memory(
            [level.flatten(2).permute(2, 0, 1) for level in embedded],
            [position.flatten(2).permute(2, 0, 1) for position in positions],
            [tuple(level.shape[-2:]) for level in levels],
        )

    def run_layer(self, layer: int, states: Tensor, memory: Memory, hidden: Tensor | None) -> Tensor:
        """A layer: attention to one level, self-attention of the queries, feed-forward.

        Args:
            layer: 0 for the first.
            states: (Q, B, W).
            memory: of the levels.
            hidden: bool (B, Q, h, w) at the size of the layer's level, where a query must not attend to, or None.

        Returns:
            (Q, B, W).
        """
        if hidden is not None:
            hidden = hidden.flatten(2).repeat_interleave(HEADS, dim=0)  # (B * M, Q, h * w), as PyTorch's attention takes it
        query_positions = self.queries_embedder.weight[:, None].expand_as(states)
        level = layer % len(memory.sizes)
        # by position what gradient checkpointing shall see, and as one tensor: in a list of levels it would see none
        return self.decoder.layers[layer](
            states,
            0,
            None,
            memory.positions[level][None],
            query_positions,
            memory.features[level][None],
            encoder_attention_mask=hidden,
        )[0]

    def normalised(self, states: Tensor) -> Tensor:
        """(Q, B, W) -> (B, Q, W), of which masks and classes are read."""
        return self.decoder.layernorm(states).transpose(0, 1)

    def mask_embeddings(self, normalised: Tensor) -> Tensor:
        """(B, Q, W) -> (B, Q, W), to be multiplied with the mask features."""
        return self.decoder.mask_predictor.mask_embedder(normalised)


@torch.no_grad()
def hidden_positions(mask_logits: Tensor, size: tuple[int, int], unmasked: Tensor | None = None) -> Tensor:
    """Where queries must not attend to: outside of their masks. A query whose mask is empty attends everywhere.

    Args:
        mask_logits: (B, Q, h', w'), resized bilinearly.
        size: `(h, w)` of the level.
        unmasked: bool (B, Q), queries that attend everywhere at this step.

    Returns:
        bool (B, Q, h, w).
    """
    resized = F.interpolate(mask_logits, size=size, mode="bilinear", align_corners=False)
    hidden = resized.sigmoid() < 0.5
    if unmasked is not None:
        hidden = hidden & ~unmasked[..., None, None]
    return hidden & ~hidden.all(dim=(2, 3), keepdim=True)
