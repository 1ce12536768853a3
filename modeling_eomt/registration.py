"""Makes transformers' Auto classes and pipelines give this package's classes for checkpoints of type `eomt`."""

from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageSegmentation,
    AutoModelForUniversalSegmentation,
)
from transformers.pipelines import PIPELINE_REGISTRY

from eomt.configuration import EomtConfig
from eomt.image_processing.image_processing_eomt import EomtImageProcessor
from eomt.image_processing.image_processing_pil_eomt import EomtImageProcessorPil
from eomt.modeling_eomt import EomtForUniversalSegmentation

# by name, as transformers has its own: the module is imported when a pipeline is made
PIPELINE = "eomt.pipeline.EomtImageSegmentationPipeline"


def register_auto_classes() -> None:
    """Registers configuration, model, image processors and pipeline; repeating it changes nothing."""
    AutoConfig.register("eomt", EomtConfig, exist_ok=True)
    for auto_class in (AutoModel, AutoModelForUniversalSegmentation, AutoModelForImageSegmentation):
        auto_class.register(EomtConfig, EomtForUniversalSegmentation, exist_ok=True)
    AutoImageProcessor.register(
        EomtConfig,
        slow_image_processor_class=EomtImageProcessorPil,
        fast_image_processor_class=EomtImageProcessor,
        exist_ok=True,
    )
    # not by `register_pipeline`, which would drop the task's default model
    PIPELINE_REGISTRY.supported_tasks["image-segmentation"]["impl"] = PIPELINE
