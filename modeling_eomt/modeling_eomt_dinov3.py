"""EoMT on DINOv3: the Encoder-only Mask Transformer with rotary positions, in the format of transformers' `eomt_dinov3`."""

from eomt.configuration import EomtDinov3Config
from eomt.encoders.dinov3 import EomtDinov3Embeddings, EomtDinov3Layer
from eomt.encoders.rotary import EomtDinov3RotaryEmbedding
from eomt.modeling_eomt import EomtForUniversalSegmentation
from eomt.pretrained import EomtDinov3PreTrainedModel

__all__ = ["EomtDinov3ForUniversalSegmentation", "EomtDinov3PreTrainedModel"]


class EomtDinov3ForUniversalSegmentation(EomtForUniversalSegmentation, EomtDinov3PreTrainedModel):
    """EoMT on DINOv3, see [`EomtForUniversalSegmentation`]. Queries have no place in the image: only patches are rotated."""

    config: EomtDinov3Config
    embeddings_class = EomtDinov3Embeddings
    layer_class = EomtDinov3Layer
    rotary_class = EomtDinov3RotaryEmbedding
