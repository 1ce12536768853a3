"""EoMT, the Encoder-only Mask Transformer, for Hugging Face Transformers. Importing it registers the Auto classes."""

from eomt.configuration import EomtConfig
from eomt.modeling_eomt import EomtForUniversalSegmentation, EomtForUniversalSegmentationOutput, EomtPreTrainedModel

__all__ = [
    "EomtConfig",
    "EomtForUniversalSegmentation",
    "EomtForUniversalSegmentationOutput",
    "EomtPreTrainedModel",
]
