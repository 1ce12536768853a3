"""Configuration of what lies between ViT-Adapter + Mask2Former and EoMT, a `model_type` of this package (paper, Table 1)."""

from dataclasses import dataclass

from huggingface_hub.dataclasses import strict

from eomt.configuration.base import nearest_multiples
from eomt.configuration.configuration_eomt import EomtConfig
from eomt.configuration.configuration_eomt_dinov3 import EomtDinov3Config
from eomt.configuration.configuration_eomt_eva02 import EomtEva02Config

PATCH = 16  # the pyramid has 1/4, 1/8, 1/16 and 1/32 of the image; 1/16 is the patch grid
STAGES = 4  # of the encoder, between which the ViT-Adapter exchanges features


@dataclass(init=False, repr=False, eq=False)
class LadderFields:
    """
    What the configurations of rows 0 to 3 have besides that of their encoder, whatever the encoder is.

    Transformers has no such `model_type`, so that it refuses the checkpoints. The defaults are those of row 0.

    Args:
        row: of Table 1. 0 is ViT-Adapter + Mask2Former, 1 has no ViT-Adapter, 2 no pixel decoder either, 3 no multi-scale features
            either. Rows 4 and 5 are EoMT with masks and without.
        decoder_layers: masked layers of the Transformer decoder, which attend to the three scales in turn. 3 or more.
        decoder_width: of pixel decoder, mask features and Transformer decoder. A multiple of 32.
        pixel_decoder_layers: deformable layers of the pixel decoder (rows 0 and 1).
        num_blocks: 0, as no block of the encoder has queries.

    Attributes:
        init_std, init_xavier_std: for the initialisation of Mask2Former's modules, as in transformers.
    """

    fewest_blocks = 0
    title = "A step on the way from ViT-Adapter + Mask2Former to EoMT"
    description = "a ViT, and queries in Mask2Former's Transformer decoder"
    stores_masking = True  # Mask2Former keeps its masks
    init_std = 0.02
    init_xavier_std = 1.0

    num_blocks: int = 0
    row: int = 0
    decoder_layers: int = 9
    decoder_width: int = 256
    pixel_decoder_layers: int = 6

    @property
    def size_multiples_hw(self) -> tuple[int, int]:
        """`(height, width)` in pixels, of which an image's sides are multiples: ViT-Adapter's coarsest map has 1/32."""
        return (2 * PATCH, 2 * PATCH) if self.row == 0 else (PATCH, PATCH)

    @property
    def exports_any_size(self) -> bool:
        """Whether a graph of the model takes images of any size: transformers' pixel decoder, of rows 0 and 1, fixes it."""
        return self.row >= 2

    def validate_ladder(self) -> None:
        """Refuses what can't be built.

        Raises:
            ValueError: for another row, patch size or upscaling than the paper's, blocks with queries, a width that the decoders
                can't split, or at row 0 an encoder or an image that the ViT-Adapter can't split.
        """
        if self.row not in range(4):
            raise ValueError(f"row={self.row} must be in 0..3, of Table 1; rows 4 and 5 are the model_type eomt")
        if self.num_blocks:
            raise ValueError(f"num_blocks={self.num_blocks} must be 0: before row 4 of Table 1 no block of the encoder has queries")
        if self.patch_size_hw != (PATCH, PATCH) or self.num_upscale_blocks != 2:
            raise ValueError(
                f"patch_size={self.patch_size}, num_upscale_blocks={self.num_upscale_blocks} must be {PATCH} and 2: the pyramid "
                "has 1/4 to 1/32 of the image"
            )
        if self.decoder_width < 1 or self.decoder_width % 32 or self.decoder_layers < 3 or self.pixel_decoder_layers < 1:
            raise ValueError(
                f"decoder_width={self.decoder_width} must be a positive multiple of 32, decoder_layers={self.decoder_layers} at "
                f"least 3, a layer for each scale, and pixel_decoder_layers={self.pixel_decoder_layers} at least 1"
            )
        if self.row == 0:
            self._check_adapter()

    def _check_adapter(self) -> None:
        if self.num_hidden_layers % STAGES:
            raise ValueError(
                f"num_hidden_layers={self.num_hidden_layers} must be a multiple of {STAGES} at row 0: the ViT-Adapter has as many "
                "interactions with the encoder, equally far apart"
            )
        if self.hidden_size % (4 * self.num_attention_heads):
            raise ValueError(
                f"hidden_size={self.hidden_size} must be a multiple of 4 * num_attention_heads={4 * self.num_attention_heads} at "
                "row 0, whose values are half as wide"
            )
        for side in self.image_size_hw:
            if side % (2 * PATCH):
                raise ValueError(
                    f"image_size={self.image_size} must be a multiple of {2 * PATCH} at row 0, whose coarsest map has 1/32; use "
                    f"{nearest_multiples(side, 2 * PATCH)}"
                )


@strict
class EomtLadderConfig(LadderFields, EomtConfig):
    """Configuration of [`EomtLadderForUniversalSegmentation`], on plain ViTs; see [`EomtConfig`] and [`LadderFields`]."""

    model_type = "eomt_ladder"


@strict
class EomtDinov3LadderConfig(LadderFields, EomtDinov3Config):
    """Configuration of [`EomtDinov3LadderForUniversalSegmentation`]; see [`EomtDinov3Config`] and [`LadderFields`]."""

    model_type = "eomt_dinov3_ladder"


@strict
class EomtEva02LadderConfig(LadderFields, EomtEva02Config):
    """Configuration of [`EomtEva02LadderForUniversalSegmentation`]; see [`EomtEva02Config`] and [`LadderFields`]."""

    model_type = "eomt_eva02_ladder"
