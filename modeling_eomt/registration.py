"""Makes transformers' Auto classes and pipelines give this package's classes for its checkpoints."""

from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageSegmentation,
    AutoModelForUniversalSegmentation,
)
from transformers.pipelines import PIPELINE_REGISTRY

from eomt.configuration import EomtConfig, EomtDinov3Config, EomtEva02Config
from eomt.configuration.configuration_eomt_ladder import EomtDinov3LadderConfig, EomtEva02LadderConfig, EomtLadderConfig
from eomt.image_processing.image_processing_eomt import EomtImageProcessor
from eomt.image_processing.image_processing_pil_eomt import EomtImageProcessorPil
from eomt.modeling_eomt import EomtForUniversalSegmentation
from eomt.modeling_eomt_dinov3 import EomtDinov3ForUniversalSegmentation
from eomt.modeling_eomt_eva02 import EomtEva02ForUniversalSegmentation
from eomt.modeling_eomt_ladder import (
    EomtDinov3LadderForUniversalSegmentation,
    EomtEva02LadderForUniversalSegmentation,
    EomtLadderForUniversalSegmentation,
)

MODELS = (
    (EomtConfig, EomtForUniversalSegmentation),
    (EomtDinov3Config, EomtDinov3ForUniversalSegmentation),
    (EomtEva02Config, EomtEva02ForUniversalSegmentation),
    (EomtLadderConfig, EomtLadderForUniversalSegmentation),
    (EomtDinov3LadderConfig, EomtDinov3LadderForUniversalSegmentation),
    (EomtEva02LadderConfig, EomtEva02LadderForUniversalSegmentation),
)
# by name, as transformers has its own: the module is imported when a pipeline is made
PIPELINE = "eomt.pipeline.EomtImageSegmentationPipeline"


def register_auto_classes() -> None:
    """Registers configuration, model, image processors and pipeline; repeating it changes nothing."""
    for config_class, model_class in MODELS:
        AutoConfig.register(config_class.model_type, config_class, exist_ok=True)
        for auto_class in (AutoModel, AutoModelForUniversalSegmentation, AutoModelForImageSegmentation):
            auto_class.register(config_class, model_class, exist_ok=True)
        AutoImageProcessor.register(
            config_class,
            slow_image_processor_class=EomtImageProcessorPil,
            fast_image_processor_class=EomtImageProcessor,
            exist_ok=True,
        )
    # not by `register_pipeline`, which would drop the task's default model
    PIPELINE_REGISTRY.supported_tasks["image-segmentation"]["impl"] = PIPELINE
