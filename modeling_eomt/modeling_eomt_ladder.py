"""The way from ViT-Adapter + Mask2Former to EoMT, rows 0 to 3 of Table 1: each row drops a part (paper, section 3.2, figure A).

Shapes: `B` images, `Q` queries, `C` classes, `N` tokens, `D` width of the encoder, `W` width of the decoders, `H, W` pixels,
`h, w` patches.
"""

from functools import partial

import torch
from torch import Tensor, nn
from transformers import initialization as init
from transformers.models.mask2former.modeling_mask2former import (
    Mask2FormerMaskedAttentionDecoderLayer,
    Mask2FormerPixelDecoder,
    Mask2FormerPixelDecoderEncoderMultiscaleDeformableAttention,
    Mask2FormerPredictionBlock,
    Mask2FormerPreTrainedModel,
    Mask2FormerTransformerModule,
)

from eomt.configuration import EomtDinov3LadderConfig, EomtEva02LadderConfig, EomtLadderConfig
from eomt.criterion.loss import EomtLoss
from eomt.encoders.dinov3 import EomtDinov3Embeddings, EomtDinov3Layer
from eomt.encoders.eva02 import EomtEva02Layer, EomtEva02RotaryEmbedding
from eomt.encoders.patch_tokens import PatchTokens
from eomt.encoders.rotary import EomtDinov3RotaryEmbedding
from eomt.encoders.vit import ViTEncoder
from eomt.initialization import InitializedModule
from eomt.ladder.mask2former import (
    MultiScaleProjection,
    PixelDecoder,
    SingleScaleProjection,
    TransformerDecoder,
    hidden_positions,
)
from eomt.ladder.pyramid import FeaturePyramid, SingleScale
from eomt.ladder.vit_adapter import ViTAdapter
from eomt.mask_classifier import MaskClassifier
from eomt.prediction import Prediction
from eomt.pretrained import EomtPreTrainedModel
from eomt.randomness import ImageDraws

PYRAMIDS = (ViTAdapter, FeaturePyramid, FeaturePyramid, SingleScale)  # by row
PIXEL_DECODERS = (PixelDecoder, PixelDecoder, MultiScaleProjection, SingleScaleProjection)
DECODER_MODULES = ("Interaction", "PixelDecoder", "Mask2FormerMaskedAttentionDecoderLayer")  # kept on one device
INITIALIZED_BY_TRANSFORMERS = (
    Mask2FormerMaskedAttentionDecoderLayer,
    Mask2FormerPixelDecoder,
    Mask2FormerPixelDecoderEncoderMultiscaleDeformableAttention,
    Mask2FormerPredictionBlock,
    Mask2FormerTransformerModule,
)


class EomtLadderPreTrainedModel(EomtPreTrainedModel):
    """Initialisation, loading and saving."""

    config: EomtLadderConfig
    base_model_prefix = "eomt_ladder"
    _no_split_modules = ["EomtLayer", *DECODER_MODULES]

    @classmethod
    def is_custom_code(cls) -> bool:
        """False, as for models of transformers: it initialises Mask2Former's modules as wholes, and leaves out in custom code every
        module that holds no tensor itself. Both leave loaded tensors alone."""
        return False

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        is_embedding = isinstance(module, nn.Embedding) and not isinstance(module, InitializedModule)
        if is_embedding or isinstance(module, INITIALIZED_BY_TRANSFORMERS):
            Mask2FormerPreTrainedModel._init_weights(self, module)
        elif isinstance(module, nn.GroupNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)
        else:
            super()._init_weights(module)


class EomtLadderForUniversalSegmentation(ViTEncoder, MaskClassifier, EomtLadderPreTrainedModel):
    """
    ViT-Adapter + Mask2Former, and what is left of it as its parts are dropped one by one.

    | row | feature maps | pixel decoder | Transformer decoder attends to |
    | --- | --- | --- | --- |
    | 0 | ViT-Adapter's | Mask2Former's | three scales |
    | 1 | a simple pyramid's | Mask2Former's | three scales |
    | 2 | a simple pyramid's | none | three scales |
    | 3 | the patches and their map at 1/4 | none | the patches |

    The last step, to EoMT, drops the Transformer decoder. Each masked layer has a masking probability of its own, as EoMT's blocks
    have.

    Args:
        config: of the model. Masked attention is on in a new model, as it stays on in Mask2Former.
    """

    def __init__(self, config: EomtLadderConfig):
        super().__init__(config)
        self.init_encoder(config)
        if config.row == 0:
            self.layernorm = nn.Identity()  # ViT-Adapter reads what the blocks give
        self.pyramid = PYRAMIDS[config.row](config)
        self.pixel_decoder = PIXEL_DECODERS[config.row](config)
        self.transformer_decoder = TransformerDecoder(config)
        self.class_predictor = nn.Linear(config.decoder_width, config.num_labels + 1)
        self.criterion = EomtLoss(config)
        self.init_masking(config.decoder_layers)
        self.post_init()

    def predict_blocks(self, pixel_values: Tensor, supervised: bool, draws: ImageDraws) -> tuple[Tensor, list[Prediction]]:
        mask_features, levels = self.pixel_decoder(self.feature_maps(pixel_values, draws))
        decoder, predictions = self.transformer_decoder, []

        memory = decoder.memory(levels)
        states = decoder.initial_queries(pixel_values.shape[0])  # (Q, B, W)
        for layer in range(decoder.num_layers):
            hidden = None
            if supervised or self.is_masked(layer):
                predictions.append(self.predict(decoder.normalised(states), mask_features))
            if self.is_masked(layer):
                mask_logits = predictions[-1].mask_logits
                unmasked = self.draw_unmasked(layer, mask_logits, draws)
                hidden = hidden_positions(mask_logits, memory.sizes[layer % len(memory.sizes)], unmasked)
            states = decoder.run_layer(layer, states, memory, hidden)

        normalised = decoder.normalised(states)  # (B, Q, W)
        predictions.append(self.predict(normalised, mask_features))
        return normalised, predictions

    def feature_maps(self, pixel_values: Tensor, draws: ImageDraws) -> list[Tensor]:
        """(B, 3, H, W) -> the maps of the row's pyramid, (B, D, ...), the finest first.

        Raises:
            ValueError: for images off the patch grid, or without cells in the map at 1/32 of rows 0 to 2.
        """
        grid = self.embeddings.patch_embeddings.grid_of(pixel_values)
        if self.config.row in (1, 2) and (grid[0] < 2 or grid[1] < 2):
            raise ValueError(
                f"pixel_values is {tuple(pixel_values.shape[-2:])} pixels, but rows 1 and 2, with a map at 1/32, need 32 or "
                "more on each side; resize or pad the images"
            )
        tokens = self.embeddings(pixel_values, grid)  # (B, prefix + h * w, D)
        patches = self.patch_tokens(pixel_values, grid, draws)
        if self.config.row == 0:
            if grid[0] % 2 or grid[1] % 2:
                raise ValueError(
                    f"pixel_values is {tuple(pixel_values.shape[-2:])} pixels, but ViT-Adapter (row 0) needs multiples of 32; "
                    "resize or pad the images"
                )
            return self.pyramid(pixel_values, tokens, grid, partial(self._encode_between_interactions, patches=patches))
        tokens = patches.restored(self.layernorm(self.encode(tokens, slice(None), patches)))
        features = tokens[:, self.embeddings.num_prefix_tokens :].transpose(1, 2).unflatten(2, grid)  # (B, D, h, w)
        return self.pyramid(features)

    def _encode_between_interactions(self, tokens: Tensor, blocks: slice, patches: PatchTokens) -> Tensor:
        """Blocks of the encoder, of tokens that are merged inside and have the whole grid outside: (B, N, D) -> (B, N, D)."""
        return patches.restored(self.encode(patches.grouped(tokens), blocks, patches))

    def predict(self, normalised: Tensor, mask_features: Tensor) -> Prediction:
        """A class for each query, and its mask as a product with the mask features.

        Args:
            normalised: (B, Q, W), the queries.
            mask_features: (B, W, H / 4, W / 4).
        """
        embeddings = self.transformer_decoder.mask_embeddings(normalised)
        mask_logits = torch.einsum("bqc,bchw->bqhw", embeddings, mask_features)
        return Prediction(mask_logits, self.class_predictor(normalised), embeddings, mask_features)


class EomtDinov3LadderForUniversalSegmentation(EomtLadderForUniversalSegmentation):
    """The same on DINOv3, whose patches are rotated in every block."""

    config: EomtDinov3LadderConfig
    base_model_prefix = "eomt_dinov3_ladder"
    embeddings_class = EomtDinov3Embeddings
    layer_class = EomtDinov3Layer
    rotary_class = EomtDinov3RotaryEmbedding
    _no_split_modules = ["EomtDinov3Layer", *DECODER_MODULES]


class EomtEva02LadderForUniversalSegmentation(EomtLadderForUniversalSegmentation):
    """The same on EVA-02, of which Table 2 has row 0."""

    config: EomtEva02LadderConfig
    base_model_prefix = "eomt_eva02_ladder"
    layer_class = EomtEva02Layer
    rotary_class = EomtEva02RotaryEmbedding
    _no_split_modules = ["EomtEva02Layer", *DECODER_MODULES]
