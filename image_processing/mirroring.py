"""Semantic segmentation from an image and its mirror image: the mean of both has fewer accidental errors.

    processor = MirroredProcessor(EomtImageProcessor.from_pretrained(checkpoint))
    outputs = model(**processor(images=[image], return_tensors="pt"))
    classes = processor.post_process_semantic_segmentation(outputs, [(height, width)])[0]

Shapes: B windows of the image and as many of the mirror image, Q queries, h, w logits of a mask, H, W pixels of the image.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import BatchFeature
from transformers.utils import ModelOutput

from eomt.image_processing.image_processing_eomt import EomtImageProcessor
from eomt.image_processing.sizes import Size
from eomt.image_processing.windows import read_offsets


@dataclass(frozen=True)
class MirroredProcessor:
    """
    An image processor that shows the model an image twice, the second time mirrored.

    Args:
        processor: of a semantic model, which cuts images into windows.

    Raises:
        ValueError: it pads whole images, or doesn't resize them.
    """

    processor: EomtImageProcessor

    def __post_init__(self):
        if not (self.processor.do_split_image and self.processor.do_resize):
            raise ValueError(
                f"do_split_image={self.processor.do_split_image}, do_resize={self.processor.do_resize}: the mirror image needs an "
                "image processor that cuts windows; set both to true, with a size of one shortest_edge"
            )

    def __call__(self, images: Sequence[torch.Tensor], return_tensors: str = "pt") -> BatchFeature:
        """The model's inputs of one image, (3, H, W) in a sequence of one, and its mirror image: first all windows of the one.

        Raises:
            ValueError: another number of images than one.
        """
        if len(images) != 1:
            raise ValueError(f"images has {len(images)} entries, but mirror images are made of one image at a time")
        return self.processor(images=[images[0], images[0].flip(-1)], return_tensors=return_tensors)

    def post_process_semantic_segmentation(self, outputs: Any, target_sizes: Sequence[Size], **options: Any) -> list:
        """The result of one image, from the mean of the class scores of both.

        Args:
            outputs: of [`__call__`]'s inputs, with their `patch_offsets` and `image_layouts`.
            target_sizes: the image's (H, W), in a sequence of one.
            **options: of [`EomtImageProcessor.post_process_semantic_segmentation`], whose results these are.
        """
        offsets = read_offsets(outputs.patch_offsets)
        mirrored = torch.tensor([image == 1 for image, _, _ in offsets])
        masks = outputs.masks_queries_logits
        masks = torch.where(mirrored.to(masks.device)[:, None, None, None], masks.flip(-1), masks)
        height, width = torch.as_tensor(outputs.image_layouts[0])[:2].tolist()
        along_width = height <= width
        windows = [
            (0, width - end, width - start) if image == 1 and along_width else (0, start, end) for image, start, end in offsets
        ]
        together = ModelOutput(
            masks_queries_logits=masks,
            class_queries_logits=outputs.class_queries_logits,
            patch_offsets=windows,
            image_layouts=outputs.image_layouts,
        )
        return self.processor.post_process_semantic_segmentation(together, list(target_sizes), **options)
