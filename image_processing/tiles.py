"""Instances of an image from overlapping tiles of it, which the model sees enlarged, and from the whole image.

    processor = TiledProcessor(EomtImageProcessor.from_pretrained(checkpoint), scale=2.0)
    outputs = model(**processor(images=[image], return_tensors="pt"))
    instances = processor.post_process_instance_segmentation(outputs, [(height, width)], top_k=100, return_rles=True)

Shapes: V views, the whole image and its tiles, Q queries, C classes, h, w logits of a mask, H, W pixels of the image.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from transformers import BatchFeature
from transformers.image_utils import ImageInput

from eomt.image_processing.defaults import MASK_THRESHOLD
from eomt.image_processing.image_processing_eomt import EomtImageProcessor
from eomt.image_processing.instance import Mask, find_instances
from eomt.image_processing.model_outputs import ModelOutputs
from eomt.image_processing.pixels import single_image
from eomt.image_processing.sizes import Size, image_layout
from eomt.image_processing.tile_merging import Box, Candidate, merge_views

OVERLAP = 0.2  # of a tile's side that neighbours share at least, as in SAHI (Akyon et al., 2022)


@dataclass(frozen=True)
class TiledProcessor:
    """
    An image processor that shows the model an image several times: whole, and in tiles.

    Args:
        processor: of an instance model; it fits and pads each view.
        scale: of tiles beside the whole image; with 2, an object in a tile is twice as large for the model. From 1 on.

    Raises:
        ValueError: the scale is less than 1, or the processor cuts windows or doesn't resize.
    """

    processor: EomtImageProcessor
    scale: float

    def __post_init__(self):
        if not self.scale >= 1:
            raise ValueError(f"scale={self.scale} must be 1 or more: how much larger than in the whole image objects are in tiles")
        if self.processor.do_split_image or not self.processor.do_resize:
            raise ValueError(
                f"do_split_image={self.processor.do_split_image}, do_resize={self.processor.do_resize}: tiles need an image "
                "processor that fits whole images; set do_split_image to false and do_resize to true"
            )

    def tiles(self, size: Size) -> list[Box]:
        """The tiles of an image of `size` (H, W) as (x0, y0, x1, y1), ends exclusive; none if one would hold the image."""
        layout = image_layout(size, self.processor.size, True, False, self.processor.do_pad)
        sides = [
            math.ceil(canvas * edge / (content * self.scale))
            for canvas, edge, content in zip(layout.canvas, size, layout.content, strict=True)
        ]
        rows, cols = (spans(edge, min(side, edge)) for edge, side in zip(size, sides, strict=True))
        if len(rows) == len(cols) == 1:
            return []
        return [(left, top, right, bottom) for top, bottom in rows for left, right in cols]

    def __call__(self, images: ImageInput, return_tensors: str = "pt") -> BatchFeature:
        """The model's inputs of one image and its tiles.

        Args:
            images: one, of any kind that [`EomtImageProcessor`] takes.
            return_tensors: "pt" or "np".

        Returns:
            `pixel_values` (V, 3, height, width), the whole image first, and `image_layouts` (V, 4).

        Raises:
            ValueError: another number of images than one.
        """
        image = single_image(images, "tiles")
        views = [image, *(image[:, top:bottom, left:right] for left, top, right, bottom in self.tiles(tuple(image.shape[1:])))]
        return self.processor(images=views, return_tensors=return_tensors)

    def post_process_instance_segmentation(
        self,
        outputs: Any,
        target_sizes: Sequence[Size],
        threshold: float = 0.0,
        top_k: int = 100,
        mask_threshold: float = MASK_THRESHOLD,
        return_rles: bool = True,
        beyond: float | None = None,
    ) -> list[dict]:
        """The instances of one image, from all its views; see [`merge_views`].

        Args:
            outputs: of [`__call__`]'s inputs.
            target_sizes: the image's (H, W), in a sequence of one.
            threshold: the least score.
            top_k: the best so many pairs of query and class are candidates in each view, and the best so many are returned.
            mask_threshold: a mask is where the probability is above this.
            return_rles: must be True; there is no other format.
            beyond: the least score of further candidates of each view, and of further instances that are returned; None: there are
                none.

        Returns:
            As [`EomtImageProcessor.post_process_instance_segmentation`] with `return_rles`, without the processor's
            `stuff_classes`.

        Raises:
            ValueError: outputs, sizes and tiles don't belong together, or another format is asked for.
        """
        if not return_rles:
            raise ValueError("return_rles=False: instances of tiles are given as run lengths alone")
        (size,) = target_sizes
        outputs, tiles = ModelOutputs.read(outputs), self.tiles(size)
        if len(outputs.mask_logits) != len(tiles) + 1 or outputs.layouts is None:
            raise ValueError(
                f"The outputs are of {len(outputs.mask_logits)} inputs, but an image of {size} has {len(tiles)} tiles beside "
                "itself. Pass the outputs of one image, with the image_layouts that this processor gave."
            )
        views = []
        for number, frame in enumerate([(0, 0, size[1], size[0]), *tiles]):
            found = find_instances(
                outputs.mask_logits[number],
                outputs.class_logits[number],
                outputs.layouts[number],
                (frame[3] - frame[1], frame[2] - frame[0]),
                threshold,
                mask_threshold,
                top_k,
                keep=lambda mask, frame=frame: _placed(mask, frame, size).rle(),
                beyond=beyond,
                stuff_classes=self.processor.stuff_classes or (),
            )
            views.append([Candidate.of(instance, number, frame, size) for instance in found])
        merged = merge_views(views, tiles, size)
        further = [] if beyond is None else [one for one in merged[top_k:] if one.score >= beyond]
        merged = merged[:top_k] + further
        infos = [
            {"id": number, "label_id": one.label_id, "score": one.score, "bbox": list(one.box)} for number, one in enumerate(merged)
        ]
        return [{"segmentation": [one.rle for one in merged], "segments_info": infos}]


def spans(edge: int, side: int) -> list[tuple[int, int]]:
    """Evenly spaced spans of `side` pixels that cover `edge`, as few as overlap by `OVERLAP`."""
    if side >= edge:
        return [(0, edge)]
    count = math.ceil((edge - OVERLAP * side) / ((1 - OVERLAP) * side))
    starts = [round(index * (edge - side) / (count - 1)) for index in range(count)]
    return [(start, start + side) for start in starts]


def _placed(mask: Mask, frame: Box, size: Size) -> Mask:
    """A view's mask in the whole image."""
    x0, y0, x1, y1 = mask.box
    left, top = frame[:2]
    return replace(mask, box=(x0 + left, y0 + top, x1 + left, y1 + top), target=size)
