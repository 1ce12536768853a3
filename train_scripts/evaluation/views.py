"""How often, and how, scoring and prediction show an image to the model."""

from eomt.image_processing.averaging import AveragingProcessor
from eomt.image_processing.image_processing_eomt import EomtImageProcessor
from eomt.image_processing.tiles import TiledProcessor
from eomt.train_scripts.evaluation.inference_options import PredictOptions, ScoreOptions

Views = EomtImageProcessor | TiledProcessor | AveragingProcessor


def with_views(processor: EomtImageProcessor, options: ScoreOptions | PredictOptions) -> Views:
    """The image processor; in tiles, at several scales and mirrored as well, as options ask for.

    Raises:
        ValueError: the processor can't do it.
    """
    if options.tiles is not None:
        return TiledProcessor(processor, options.tiles)
    if options.mirror or options.scales != [1.0]:
        return AveragingProcessor(processor, tuple(options.scales), options.mirror)
    return processor
