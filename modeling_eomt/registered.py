"""The public classes. Importing this module registers them with transformers' Auto classes."""

from eomt.configuration.configuration_eomt import EomtConfig as EomtConfig
from eomt.image_processing.image_processing_eomt import EomtImageProcessor as EomtImageProcessor
from eomt.image_processing.image_processing_pil_eomt import EomtImageProcessorPil as EomtImageProcessorPil
from eomt.modeling_eomt import EomtForUniversalSegmentation as EomtForUniversalSegmentation
from eomt.modeling_eomt import EomtForUniversalSegmentationOutput as EomtForUniversalSegmentationOutput
from eomt.modeling_eomt import EomtPreTrainedModel as EomtPreTrainedModel
from eomt.registration import register_auto_classes

register_auto_classes()
