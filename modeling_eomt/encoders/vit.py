"""The plain ViT inside a model: its blocks under the names of EoMT's checkpoints, and what training asks of a pretrained encoder.

Shapes: `B` images, `N` tokens, `D` width, `h, w` patches.
"""

import re

import torch
from torch import Tensor, nn

from eomt.configuration import EomtBaseConfig
from eomt.encoders.dinov2 import EomtEmbeddings, EomtLayer
from eomt.encoders.parts import wanting_gradients
from eomt.encoders.patch_tokens import PatchTokens, TokenMerging
from eomt.encoders.rotary import EomtNoRotation
from eomt.randomness import ImageDraws


class ViTEncoder:
    """
    The encoder's modules and methods, for a [`MaskClassifier`], which comes after this class in a model's bases.

    Attributes:
        embeddings_class, layer_class, rotary_class: of the encoder; another `model_type` names its own, and nothing else.
        token_merging: set by `eomt.token_merging.merge_tokens`. Not stored.
    """

    embeddings_class: type[nn.Module] = EomtEmbeddings
    layer_class: type[EomtLayer] = EomtLayer
    rotary_class: type[nn.Module] = EomtNoRotation
    token_merging: TokenMerging | None = None

    def init_encoder(self, config: EomtBaseConfig) -> None:
        """Makes the encoder's modules. A constructor calls it once."""
        self.embeddings = self.embeddings_class(config)
        self.rotary = self.rotary_class(config)
        self.layers = nn.ModuleList([self.layer_class(config) for _ in range(config.num_hidden_layers)])
        self.layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def patch_tokens(self, pixel_values: Tensor, grid: tuple[int, int], draws: ImageDraws) -> PatchTokens:
        """The patch tokens of a forward pass, none of them merged yet.

        Raises:
            ValueError: tokens are to be merged in training or in an exported graph.
        """
        if self.token_merging is not None and (self.training or torch.compiler.is_exporting()):
            raise ValueError(
                "token merging is for evaluation, and its number of tokens depends on the image, which no exported graph allows; "
                "call eval() first, or merge_tokens(model, None)"
            )
        return PatchTokens(grid, self.rotary(grid, pixel_values, draws), self.token_merging)

    def encode(self, tokens: Tensor, blocks: slice, patches: PatchTokens) -> Tensor:
        """Runs some of the blocks on tokens without queries.

        Args:
            tokens: (B, N, D).
            blocks: which.
            patches: the last of the tokens; changed where blocks merge them.

        Returns:
            (B, N, D), or fewer tokens where some were merged.
        """
        for block, layer in list(enumerate(self.layers, start=1))[blocks]:
            tokens = patches.merged(tokens, block, attended=False)
            merge = patches.merge_in(block)
            tokens = layer(wanting_gradients(tokens, layer), None, patches.rotation, patches.key_bias, merge)
        return tokens

    def blocks_above(self, name: str) -> int | None:
        if name.startswith("layernorm."):
            return 0
        if name.startswith("embeddings."):
            return len(self.layers) - 1
        block = re.match(r"layers\.(\d+)\.", name)
        return len(self.layers) - 1 - int(block[1]) if block else None

    def freeze_encoder(self, frozen_blocks: int) -> None:
        total = len(self.layers)
        before_queries = total - self.config.num_blocks
        if not -1 <= frozen_blocks <= total:
            raise ValueError(
                f"frozen_blocks={frozen_blocks} must be in -1..{total}, the model's blocks; -1 is every block before the queries "
                f"join: {before_queries}"
            )
        if frozen_blocks:
            self.embeddings.requires_grad_(False)
            self.layers[: before_queries if frozen_blocks == -1 else frozen_blocks].requires_grad_(False)
