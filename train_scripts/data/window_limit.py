"""A limit to the windows of one image, which counts them before the image is resized.

Windows are as wide as the short side: of an image of one row of pixels, each pixel would become a window of the model's size.

Shapes: H, W pixels of an image.
"""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from eomt.image_processing.averaging import AveragingProcessor
from eomt.image_processing.image_processing_eomt import EomtImageProcessor
from eomt.image_processing.sizes import Size, image_layout
from eomt.train_scripts.data.bad_sample import BadSample

MOST_WINDOWS = 64  # of an image, whose long side is then so many times its short one: about 2 GB at 640 pixels and 200 queries


def check_windows(processor: Callable, size: Size, name: str) -> None:
    """
    Args:
        processor: which may cut windows. Of several scales, those at the scale 1 count.
        size: (H, W) of an image.
        name: of the image, for the message.

    Raises:
        BadSample: the image needs more than `MOST_WINDOWS`.
    """
    if isinstance(processor, AveragingProcessor):
        processor = processor.processor
    if not isinstance(processor, EomtImageProcessor) or not processor.do_split_image:
        return
    layout = image_layout(size, processor.size, bool(processor.do_resize), True, bool(processor.do_pad))
    if (count := len(layout.windows)) > MOST_WINDOWS:
        raise BadSample(f"{name} is {size[1]} x {size[0]} and needs {count} windows, of {MOST_WINDOWS} at most; crop it")


def within_limit(processor: Callable) -> Callable[..., Any]:
    """The processor, which refuses an image (3, H, W) of too many windows; see [`check_windows`]."""

    def process(images: Sequence[Tensor], **options: Any) -> Any:
        for image in images:
            check_windows(processor, tuple(image.shape[1:]), "the image")
        return processor(images=images, **options)

    return process
