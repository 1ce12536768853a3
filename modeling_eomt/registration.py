"""Makes transformers' Auto classes and pipelines give this package's classes for checkpoints of type `eomt`."""

from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageSegmentation,
    AutoModelForUniversalSegmentation,
)

from eomt.configuration import EomtConfig
from eomt.image_processing.image_processing_eomt import EomtImageProcessor
from eomt.image_processing.image_processing_pil_eomt import EomtImageProcessorPil
from eomt.modeling_eomt import EomtForUniversalSegmentation


def register_auto_classes() -> None:
    """Registers configuration, model and image processors; repeating it changes nothing."""
    AutoConfig.register("eomt", EomtConfig, exist_ok=True)
    for auto_class in (AutoModel, AutoModelForUniversalSegmentation, AutoModelForImageSegmentation):
        auto_class.register(EomtConfig, EomtForUniversalSegmentation, exist_ok=True)
    AutoImageProcessor.register(
        EomtConfig,
        slow_image_processor_class=EomtImageProcessorPil,
        fast_image_processor_class=EomtImageProcessor,
        exist_ok=True,
    )
