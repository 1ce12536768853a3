"""EoMT, the Encoder-only Mask Transformer, for Hugging Face Transformers. Importing it registers the Auto classes."""

from eomt.configuration import EomtConfig, EomtDinov3Config, EomtEva02Config
from eomt.image_processing.image_processing_eomt import EomtImageProcessor
from eomt.image_processing.image_processing_pil_eomt import EomtImageProcessorPil
from eomt.modeling_eomt import EomtForUniversalSegmentation, EomtForUniversalSegmentationOutput, EomtPreTrainedModel
from eomt.modeling_eomt_dinov3 import EomtDinov3ForUniversalSegmentation, EomtDinov3PreTrainedModel
from eomt.modeling_eomt_eva02 import EomtEva02ForUniversalSegmentation, EomtEva02PreTrainedModel
from eomt.registration import register_auto_classes

register_auto_classes()

__all__ = [
    "EomtConfig",
    "EomtDinov3Config",
    "EomtDinov3ForUniversalSegmentation",
    "EomtDinov3PreTrainedModel",
    "EomtEva02Config",
    "EomtEva02ForUniversalSegmentation",
    "EomtEva02PreTrainedModel",
    "EomtForUniversalSegmentation",
    "EomtForUniversalSegmentationOutput",
    "EomtImageProcessor",
    "EomtImageProcessorPil",
    "EomtPreTrainedModel",
]
