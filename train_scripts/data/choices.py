"""The values that options choose from, in a module that loads nothing: a wrong one is answered before PyTorch is loaded."""

from collections.abc import Iterable

BAD_SAMPLES = ("raise", "skip")  # what streams and `prepare` do with a bad sample
EMPTY = ("raise", "skip", "keep")  # what `prepare` does with an image that has no segment, or none but crowds
MASK_KINDS = ("semantic", "instance")  # what the values of masks are: classes, or ids of objects
LABEL_KINDS = (*MASK_KINDS, "class_instance", "panoptic")  # what the values of label images are
FORMATS = (  # of annotations; `formats.readers` has a reader for each
    "coco_panoptic",
    "coco_instances",
    "cityscapes",
    "ade20k_semantic",
    "ade20k_panoptic",
    "yolo",
    "via",
    "labelme",
    "label_studio",
    "masks",
    "panoptic_masks",
    "datasets",
)
TASK_NAMES = ("semantic", "instance", "panoptic")
CONFIDENCE_NAMES = ("max", "entropy", "msp", "rba")  # of pixels; `eomt.image_processing.confidence` has a function for each


def check_choice(name: str, value: str, choices: Iterable[str]) -> None:
    """
    Raises:
        ValueError: the value isn't among the choices.
    """
    if value not in choices:
        raise ValueError(f"{name}={value!r} is unknown; choose one of {', '.join(choices)}")
