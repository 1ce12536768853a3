"""The Encoder-only Mask Transformer: a plain ViT whose last blocks process queries and patches together.

Kerssies et al., "Your ViT is Secretly an Image Segmentation Model", CVPR 2025.
Shapes: `B` images, `Q` queries, `C` classes, `N` tokens, `D` width, `H, W` pixels, `h, w` patches, `L2` last blocks,
`s` upscaling of the masks over the patch grid (4 at patch size 16).
"""

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers import initialization as init

from eomt.configuration import EomtBaseConfig
from eomt.criterion.loss import EomtLoss
from eomt.encoders.vit import ViTEncoder
from eomt.initialization import InitializedModule
from eomt.mask_classifier import EomtForUniversalSegmentationOutput
from eomt.mask_module import EomtMaskHead, EomtScaleBlock
from eomt.masked_attention import query_attention_mask
from eomt.piloted_classifier import PilotedClassifier
from eomt.piloted_queries import PilotedPrediction, PilotedQueries
from eomt.prediction import Prediction
from eomt.pretrained import EomtPreTrainedModel
from eomt.randomness import ImageDraws

__all__ = ["EomtForUniversalSegmentation", "EomtForUniversalSegmentationOutput", "EomtPreTrainedModel"]


class EomtQueries(nn.Embedding, InitializedModule):
    """The Q learnable queries, the same for every image."""

    def initialize_tensors(self, config: PreTrainedConfig) -> None:
        init.normal_(self.weight)

    def forward(self, tokens: Tensor) -> Tensor:
        """Puts the queries in front of the tokens: (B, N, D) -> (B, Q + N, D)."""
        return torch.cat([self.weight.to(tokens).expand(tokens.shape[0], -1, -1), tokens], dim=1)


class EomtForUniversalSegmentation(ViTEncoder, PilotedClassifier, EomtPreTrainedModel):
    """
    EoMT for semantic, instance and panoptic segmentation.

    The first `L - L2` blocks encode the patches. The queries join them, and the last L2 blocks process both together (paper,
    figure 2). The mask module reads masks and classes off the tokens: after the last block, and in training before each of the
    last L2 blocks as well.

    Args:
        config: of the model. Masked attention is on in a new model; [`set_attn_mask_probs`] changes it.
    """

    def __init__(self, config: EomtBaseConfig):
        super().__init__(config)
        self.init_encoder(config)
        self.query = EomtQueries(config.num_queries, config.hidden_size)
        self.upscale_block = EomtScaleBlock(config)
        self.mask_head = EomtMaskHead(config)
        self.class_predictor = nn.Linear(config.hidden_size, config.num_labels + 1)
        self.criterion = EomtLoss(config)
        self.init_masking(config.num_blocks)
        self.post_init()

    @property
    def first_query_block(self) -> int:
        """Index of the first block with queries: the number of blocks before it."""
        return len(self.layers) - self.config.num_blocks

    def encode_images(self, pixel_values: Tensor, blocks: int | None = None) -> Tensor:
        """The tokens of images after their first blocks, for `forward(..., encoded=tokens, encoded_blocks=blocks)`.

        Args:
            pixel_values: (B, 3, H, W).
            blocks: how many, by default all before the queries join.

        Returns:
            (B, prefix + h * w, D), without queries.

        Raises:
            ValueError: queries join before so many blocks are done, or the model merges tokens.
        """
        blocks = self._blocks_before_queries("blocks", blocks)
        if self.token_merging is not None:
            raise ValueError(
                "encode_images gives a token for each patch, but this model merges them; call merge_tokens(model, None)"
            )
        grid = self.embeddings.patch_embeddings.grid_of(pixel_values)
        patches = self.patch_tokens(pixel_values, grid, ImageDraws())
        return self.encode(self.embeddings(pixel_values, grid), slice(blocks), patches)

    def predict_blocks(
        self,
        pixel_values: Tensor,
        supervised: bool,
        draws: ImageDraws,
        encoded: Tensor | None = None,
        encoded_blocks: int | None = None,
        pilots: PilotedQueries | None = None,
    ) -> tuple[Tensor, list[Prediction]]:
        """As in [`MaskClassifier`].

        Args:
            encoded: what [`encode_images`] gives of these images, whose blocks then don't run again.
            encoded_blocks: how many blocks that were, by default all before the queries join.
            pilots: extra queries, from which the others and the patches get nothing.

        Raises:
            ValueError: as there, or for tokens that aren't of as many images and patches.
        """
        grid = self.embeddings.patch_embeddings.grid_of(pixel_values)
        joined = self.first_query_block
        predictions = []
        self._refuse_masks_of_merged_tokens()

        patches = self.patch_tokens(pixel_values, grid, draws)  # the last h * w tokens, or fewer where similar ones are merged
        if encoded is None:
            tokens, done = self.embeddings(pixel_values, grid), 0  # (B, prefix + h * w, D)
        else:
            tokens, done = encoded, self._blocks_before_queries("encoded_blocks", encoded_blocks)
            self._check_encoded(encoded, pixel_values, grid)
        tokens = self.encode(tokens, slice(done, joined), patches)

        tokens = self.query(tokens)  # (B, N, D), N = Q + prefix + h * w
        if pilots is not None:
            tokens = pilots.join(tokens, self.config.num_labels)  # (B, P + N, D)
        for block, layer in enumerate(list(self.layers)[joined:]):
            query_mask = None
            if supervised or self.is_masked(block):
                predictions.append(self._predict_all(patches.restored(self.layernorm(tokens)), grid, pilots))
                query_mask = self._query_mask(block, predictions[-1].mask_logits, grid, draws)
            pilot_mask = None if pilots is None else pilots.attention_mask(block, tokens.shape[1])
            tokens = layer(tokens, query_mask, patches.rotation, patches.key_bias, pilot_mask=pilot_mask)

        tokens = patches.restored(self.layernorm(tokens))
        predictions.append(self._predict_all(tokens, grid, pilots))
        return tokens if pilots is None else tokens[:, pilots.most :], predictions

    def predict(self, tokens: Tensor, grid: tuple[int, int]) -> Prediction:
        """The mask module (paper, section 3.3): a class for each query, and its mask as a product with the upscaled patches.

        Args:
            tokens: (B, N, D), normalised.
            grid: `(h, w)`.
        """
        queries = tokens[:, : self.config.num_queries]
        patches = tokens[:, self.config.num_queries + self.embeddings.num_prefix_tokens :]
        features = self.upscale_block(patches.transpose(1, 2).unflatten(2, grid))  # (B, D, s * h, s * w)
        embeddings = self.mask_head(queries)
        mask_logits = torch.einsum("bqd,bdhw->bqhw", embeddings, features)
        return Prediction(mask_logits, self.class_predictor(queries), embeddings, features)

    def _predict_all(self, tokens: Tensor, grid: tuple[int, int], pilots: PilotedQueries | None) -> Prediction:
        """[`predict`] of tokens that may have piloted queries in front, whose masks are products with the same features."""
        if pilots is None:
            return self.predict(tokens, grid)
        piloted, tokens = tokens.split([pilots.most, tokens.shape[1] - pilots.most], dim=1)
        prediction = self.predict(tokens, grid)
        mask_logits = torch.einsum("bpd,bdhw->bphw", self.mask_head(piloted), prediction.features)
        return prediction._replace(piloted=PilotedPrediction(mask_logits, self.class_predictor(piloted), pilots))

    def _blocks_before_queries(self, name: str, blocks: int | None) -> int:
        """A number of first blocks, None being all before the queries join."""
        most = self.first_query_block
        if blocks is not None and not 0 <= blocks <= most:
            raise ValueError(
                f"{name}={blocks} must be in 0..{most}, the blocks before the queries join; leave it out for all of them"
            )
        return most if blocks is None else blocks

    def _check_encoded(self, encoded: Tensor, pixel_values: Tensor, grid: tuple[int, int]) -> None:
        expected = (pixel_values.shape[0], self.embeddings.num_prefix_tokens + grid[0] * grid[1], self.config.hidden_size)
        if encoded.shape != expected:
            raise ValueError(
                f"encoded has shape {tuple(encoded.shape)}, but the tokens of these images have {expected}; give those of "
                "encode_images(pixel_values)"
            )

    def _refuse_masks_of_merged_tokens(self) -> None:
        """An attention mask has a column for each patch, which merged tokens don't have."""
        if self.token_merging is not None and any(self.is_masked(block) for block in range(self.config.num_blocks)):
            raise ValueError(
                "tokens can't be merged where blocks are masked; call set_attn_mask_probs with zeros, which suits a model with "
                "annealed masks, or merge_tokens(model, None)"
            )

    def _query_mask(self, block: int, mask_logits: Tensor, grid: tuple[int, int], draws: ImageDraws) -> Tensor | None:
        """The attention mask of a block, (B, 1, Q, N), or None where it is not masked."""
        if not self.is_masked(block):
            return None
        unmasked = self.draw_unmasked(block, mask_logits, draws)
        return query_attention_mask(mask_logits, grid, self.embeddings.num_prefix_tokens, unmasked)
