"""EoMT on EVA-02, whose checkpoints have a `model_type` of this package's: transformers' EoMT can't represent the encoder."""

from eomt.configuration import EomtEva02Config
from eomt.encoders.eva02 import EomtEva02Layer, EomtEva02RotaryEmbedding
from eomt.modeling_eomt import EomtForUniversalSegmentation
from eomt.pretrained import EomtEva02PreTrainedModel

__all__ = ["EomtEva02ForUniversalSegmentation", "EomtEva02PreTrainedModel"]


class EomtEva02ForUniversalSegmentation(EomtForUniversalSegmentation, EomtEva02PreTrainedModel):
    """EoMT on EVA-02, see [`EomtForUniversalSegmentation`].

    Patches have learned positions and are rotated as well; queries, as the class token, are not rotated (the paper doesn't say).
    """

    config: EomtEva02Config
    layer_class = EomtEva02Layer
    rotary_class = EomtEva02RotaryEmbedding
