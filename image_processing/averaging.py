"""Semantic segmentation from several views of an image: the mean of all has fewer accidental errors.

    processor = AveragingProcessor(EomtImageProcessor.from_pretrained(checkpoint), scales=(1.0, 1.5), mirror=True)
    outputs = model(**processor(images=[image], return_tensors="pt"))
    classes = processor.post_process_semantic_segmentation(outputs, [(height, width)])[0]

Shapes: V views, S pixels of their sides, Q queries, h, w logits of a mask, H, W pixels of the image.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from transformers import BatchFeature
from transformers.image_utils import ImageInput

from eomt.image_processing.image_processing_eomt import EomtImageProcessor
from eomt.image_processing.model_outputs import ModelOutputs
from eomt.image_processing.pixels import single_image
from eomt.image_processing.scales import check_scales
from eomt.image_processing.semantic import View, ViewedImage
from eomt.image_processing.sizes import Size, check_target_sizes, content_size, split, window_side

Box = tuple[tuple[int, int], tuple[int, int]]  # rows and columns: first and one past the last


@dataclass(frozen=True)
class AveragingProcessor:
    """
    An image processor that shows the model an image several times: in windows of several scales, and mirrored.

    Args:
        processor: of a semantic model, which cuts images into windows.
        scales: of the windows' content. At 1 they are as wide as the image's short side, as always; at 2 they show half of it.
        mirror: whether each window is shown a second time, mirrored.

    Raises:
        ValueError: the processor pads whole images or doesn't resize them, or a scale is less than 1 or comes twice.
    """

    processor: EomtImageProcessor
    scales: tuple[float, ...] = (1.0,)
    mirror: bool = False

    def __post_init__(self):
        check_scales(self.scales)
        if not (self.processor.do_split_image and self.processor.do_resize):
            raise ValueError(
                f"do_split_image={self.processor.do_split_image}, do_resize={self.processor.do_resize}: scales and the mirror "
                "image need an image processor that cuts windows; set both to true, with a size of one shortest_edge"
            )

    @property
    def side(self) -> int:
        """`S`."""
        return window_side(self.processor.size)

    def content(self, size: Size) -> Size:
        """Height and width of an image of `size` (H, W) at the largest scale: the pixels in which [`boxes`] are."""
        return content_size(size, {"shortest_edge": round(self.side * max(self.scales))}, fit=False)

    def boxes(self, size: Size) -> list[Box]:
        """The windows of an image of `size` (H, W), all of one scale after the other: squares that just cover it."""
        content, boxes = self.content(size), []
        for scale in self.scales:
            side = min(round(self.side * max(self.scales) / scale), *content)
            boxes += itertools.product(*(split((side, edge), side) for edge in content))
        return boxes

    def __call__(self, images: ImageInput, return_tensors: str = "pt") -> BatchFeature:
        """The model's inputs of one image.

        Args:
            images: one, of any kind that [`EomtImageProcessor`] takes, with 8 bits a channel.
            return_tensors: "pt" or "np".

        Returns:
            `pixel_values` (V, 3, S, S): all windows, and then all of the mirror image; and `image_layouts` (V, 4).

        Raises:
            ValueError: another number of images than one, or pixels of floats.
        """
        pixels = single_image(images, "views")
        if pixels.dtype != torch.uint8:
            raise ValueError(
                f"images[0] has {pixels.dtype} pixels, but views are resized in 8 bits a channel; pass integers in 0..255"
            )
        size = tuple(pixels.shape[1:])
        steps = [edge / length for edge, length in zip(size, self.content(size), strict=True)]
        image = Image.fromarray(pixels.permute(1, 2, 0).cpu().contiguous().numpy())
        windows = []
        for (top, bottom), (left, right) in self.boxes(size):
            shown = left * steps[1], top * steps[0], min(size[1], right * steps[1]), min(size[0], bottom * steps[0])
            windows.append(image.resize((self.side, self.side), self.processor.resample, box=shown))
        plain = {"do_resize": False, "do_split_image": False, "do_pad": False}
        inputs = self.processor(images=windows, return_tensors="pt", **plain)
        if self.mirror:
            inputs["pixel_values"] = torch.cat([inputs["pixel_values"], inputs["pixel_values"].flip(-1)])
            inputs["image_layouts"] = inputs["image_layouts"].repeat(2, 1)
        return inputs if return_tensors == "pt" else BatchFeature(dict(inputs), tensor_type=return_tensors)

    def post_process_semantic_segmentation(self, outputs: Any, target_sizes: Sequence[Size], **options: Any) -> list:
        """The result of one image, from the mean of the class scores of all views.

        Args:
            outputs: of [`__call__`]'s inputs.
            target_sizes: the image's (H, W), in a sequence of one.
            **options: of [`EomtImageProcessor.post_process_semantic_segmentation`], whose results these are.

        Raises:
            ValueError: the outputs are of another number of inputs than the image has views.
        """
        (target,) = check_target_sizes(target_sizes, 1)
        outputs, boxes = ModelOutputs.read(outputs), self.boxes(target)
        count = len(boxes) * (2 if self.mirror else 1)
        if len(outputs.mask_logits) != count:
            raise ValueError(
                f"The outputs are of {len(outputs.mask_logits)} inputs, but an image of {target} has {count} views. Pass the "
                "outputs of one image"
            )
        masks = outputs.mask_logits
        if self.mirror:
            masks = torch.cat([masks[: len(boxes)], masks[len(boxes) :].flip(-1)])
        probs = outputs.class_logits.softmax(-1)[..., :-1]
        views = [
            View(masks[index], probs[index], (rows[1] - rows[0], cols[1] - cols[0]), rows, cols)
            for index, (rows, cols) in enumerate(boxes * (2 if self.mirror else 1))
        ]
        return self.processor.semantic_results([ViewedImage(views, self.content(target), target)], **options)
