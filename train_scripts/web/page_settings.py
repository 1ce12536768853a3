"""What the page in the browser knows of a checkpoint: `settings.json`, from its image processor and its configuration."""

from collections.abc import Sequence
from typing import Any

from transformers.image_utils import PILImageResampling

from eomt.image_processing.defaults import MASK_THRESHOLD, OVERLAP_MASK_AREA_THRESHOLD, THRESHOLD
from eomt.image_processing.image_processing_eomt import EomtImageProcessor
from eomt.image_processing.pictures import SHADES, class_color
from eomt.image_processing.sizes import canvas_size

LONGEST_SHOWN = 2048  # pixels; the map of a larger photo has this long side


def page_settings(processor: EomtImageProcessor, names: Sequence[str], multiples: Sequence[int]) -> dict[str, Any]:
    """The settings that `page_files/segmentation.js` and `page_files/page.js` read.

    Args:
        processor: the checkpoint's.
        names: of the classes, by index.
        multiples: height and width in pixels, of which the sides of the model's inputs are multiples.

    Raises:
        ValueError: the page can't process images as the processor does.
    """
    check_processor(processor, multiples)
    stuff = processor.stuff_classes or []
    isthing = [label not in stuff for label in range(len(names))]
    return {
        "names": list(names),
        "stuff": stuff,
        "colors": [  # as in this package's pictures: of stuff one, of things a shade for each of several instances
            [class_color(label, isthing, instance) for instance in range(len(SHADES) if isthing[label] else 1)]
            for label in range(len(names))
        ],
        "canvas": list(canvas_size(processor.size)),  # height and width of the model's input
        "stretch": _stretches(processor),  # to the canvas, or fitted inside and padded
        "rescale_factor": processor.rescale_factor if processor.do_rescale else 1.0,
        "mean": list(processor.image_mean) if processor.do_normalize else [0.0] * 3,
        "std": list(processor.image_std) if processor.do_normalize else [1.0] * 3,
        "thresholds": {"score": THRESHOLD, "mask": MASK_THRESHOLD, "overlap": OVERLAP_MASK_AREA_THRESHOLD},
        "longest_shown": LONGEST_SHOWN,
    }


def check_processor(processor: EomtImageProcessor, multiples: Sequence[int]) -> None:
    """Raises ValueError unless every image becomes one bilinearly resized input of one size, whose sides are such multiples."""
    size = {name: edge for name, edge in dict(processor.size).items() if edge is not None}
    if not processor.do_resize or processor.resample != PILImageResampling.BILINEAR:
        raise ValueError(
            f"do_resize={processor.do_resize}, resample={processor.resample}: the page resizes bilinearly; set do_resize to true "
            "and resample to 2 in preprocessor_config.json"
        )
    if processor.do_split_image:
        raise ValueError(
            "do_split_image=True cuts images into windows, which the page can't join; set it to false in preprocessor_config.json, "
            "with a padded size, or export a panoptic or instance model"
        )
    if not _stretches(processor) and not (processor.do_pad and "longest_edge" in size):
        raise ValueError(
            f"do_pad={processor.do_pad} with size={size} gives inputs of many sizes, the page has one; set do_pad to true and give "
            "size a shortest_edge and a longest_edge in preprocessor_config.json"
        )
    for name, edge, multiple in zip(("height", "width"), canvas_size(size), multiples, strict=True):
        if edge % multiple:
            raise ValueError(
                f"size={size} makes a {name} of {edge}, which must be a multiple of {multiple} for the model; set size so in "
                "preprocessor_config.json"
            )


def _stretches(processor: EomtImageProcessor) -> bool:
    """Whether images are stretched to `size` in place of being fitted inside."""
    return bool(processor.size.height and processor.size.width)
