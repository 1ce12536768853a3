"""The methods of both image processors that turn a model's outputs into segments.

Shapes: B model inputs, Q queries, C classes, n segments, h, w mask logits, H, W pixels of a result.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from transformers.image_processing_outputs import SemanticSegmentationPostProcessorOutput

from eomt.image_processing.confidence import check_confidence, class_probabilities
from eomt.image_processing.defaults import MASK_THRESHOLD, OVERLAP_MASK_AREA_THRESHOLD, THRESHOLD
from eomt.image_processing.instance import Mask, binary_maps, find_instances, id_map, segments_info
from eomt.image_processing.model_outputs import ModelOutputs, ResizeSettings
from eomt.image_processing.panoptic import panoptic_segmentation
from eomt.image_processing.semantic import (
    View,
    ViewedImage,
    all_scores,
    best_classes,
    pixel_confidence,
    segments_of_classes,
)
from eomt.image_processing.sizes import Size, Window, crop_of

Sizes = list[tuple[int, int]]


class PostProcessing:
    """`post_process_*`: outputs of [`EomtForUniversalSegmentation`], or of transformers' own model, -> segments of each image.

    All methods compute in float32, whatever the model's precision, and take
        outputs: `masks_queries_logits` (B, Q, h, w) and `class_queries_logits` (B, Q, C + 1); `patch_offsets` if the images were
            split into windows; and `image_layouts`, which this package's model has if it was called with the processor's.
        target_sizes: the (height, width) of each image, upright. Results have these sizes. None: results have the size of the
            model's input, padding included (that of `size`, if the outputs have no `image_layouts`).
        size, do_resize, do_pad: what the processor was called with, if other than its stored settings. They have an effect only
            if the outputs have no `image_layouts`, which state how each image was resized and padded.
        output_confidence: "max", "entropy", "msp" or "rba": results have a `confidence` as well, float32 (H, W) in 0..1. It is of
            the class scores at each pixel, whatever the segments are, see `eomt.image_processing.confidence`.
    """

    def post_process_panoptic_segmentation(
        self,
        outputs: Any,
        target_sizes: Sizes | None = None,
        threshold: float = THRESHOLD,
        mask_threshold: float = MASK_THRESHOLD,
        overlap_mask_area_threshold: float = OVERLAP_MASK_AREA_THRESHOLD,
        stuff_classes: list[int] | None = None,
        size: dict[str, int] | None = None,
        do_resize: bool | None = None,
        do_pad: bool | None = None,
        output_confidence: str | None = None,
    ) -> list[dict]:
        """Segments without overlap.

        The queries of different windows don't belong together. Of images that were split, each class therefore becomes one
        segment: its pixels are those where the merged class scores are highest, its score is their mean, and no threshold applies.

        Args:
            threshold: a query needs a class probability above this.
            mask_threshold: pixels of a lower mask probability become void.
            overlap_mask_area_threshold: a segment must win more than this fraction of its mask's area.
            stuff_classes: classes of which an image has one segment at most. None: the stored setting.

        Returns:
            For each image `segmentation`, int64 (H, W) of segment ids with -1 for void, and `segments_info`, a list of
            {id, label_id, score}. With `output_confidence`, segments have a `confidence` as well: the mean over their pixels of
            class probability x mask probability, and of images that were split, their score, at most 1.

        Raises:
            ValueError: `target_sizes`, `patch_offsets` or `image_layouts` don't fit the outputs, or `output_confidence` is none of
                the four.
        """
        outputs = ModelOutputs.read(outputs)
        check_confidence(output_confidence, outputs.num_classes)
        settings = self._resize_settings(size, do_resize, do_pad)
        confident = output_confidence is not None
        if outputs.offsets:
            results = [segments_of_classes(image, confident) for image in _viewed_images(outputs, target_sizes, settings)]
        else:
            stuff = self._stuff(stuff_classes)
            thresholds = threshold, mask_threshold, overlap_mask_area_threshold
            images = outputs.whole_images(target_sizes, settings)
            results = [
                panoptic_segmentation(masks, classes, layout, target, *thresholds, stuff, confident)
                for masks, classes, (layout, target) in zip(outputs.mask_logits, outputs.class_logits, images, strict=True)
            ]
        return _add_confidence(results, _viewed_images(outputs, target_sizes, settings), output_confidence)

    def post_process_instance_segmentation(
        self,
        outputs: Any,
        target_sizes: Sizes | None = None,
        threshold: float = THRESHOLD,
        size: dict[str, int] | None = None,
        mask_threshold: float = MASK_THRESHOLD,
        overlap_mask_area_threshold: float | None = None,
        top_k: int | None = None,
        return_binary_maps: bool = False,
        return_coco_annotation: bool = False,
        return_rles: bool = False,
        do_resize: bool | None = None,
        do_pad: bool | None = None,
        output_confidence: str | None = None,
        beyond: float | None = None,
        stuff_classes: list[int] | None = None,
    ) -> list[dict]:
        """Instances, each scored by its class probability times the mean mask probability inside its mask.

        Args:
            threshold: the least score of an instance.
            mask_threshold: a mask is where the probability is above this.
            overlap_mask_area_threshold: has no effect, since instances may overlap. transformers' pipeline passes it.
            top_k: candidates are the best so many pairs of query and class, ordered by score (with 100 and `threshold=0`
                the official evaluation). None: each query with its best class, in the queries' order.
            return_binary_maps: `segmentation` is bool (n, H, W), one mask an instance, overlaps kept.
            return_coco_annotation: `segmentation` is a list with the run lengths of each instance: start (the first pixel
                is 1) and length of each run, row by row.
            return_rles: `segmentation` is a list with COCO's compressed RLE of each instance, as pycocotools takes them,
                and scores are not rounded. With this format and the last, one mask is in memory at a time.
            beyond: with `top_k`, pairs beyond the best so many are instances too if their score is at least this. None: they
                aren't.
            stuff_classes: classes without instances: with `top_k` they are in no pair; else a query whose best class is one of
                them is left out. None: the stored setting; [] leaves none out.

        Returns:
            For each image `segmentation`, unless changed as above float32 (H, W) of ids with -1 for none, where the best
            of overlapping instances shows, and `segments_info`, a list of {id, label_id, score, bbox} with bbox =
            [x0, y0, x1, y1] in pixels. An instance's score is its confidence; `output_confidence` adds that of the pixels.

        Raises:
            ValueError: the images were split into windows, two formats are asked for, a threshold or `top_k` is out of range,
                `output_confidence` is none of the four, or `target_sizes` or `image_layouts` don't fit the outputs.
        """
        formats = {
            "return_binary_maps": return_binary_maps,
            "return_coco_annotation": return_coco_annotation,
            "return_rles": return_rles,
        }
        if sum(formats.values()) > 1:
            raise ValueError(f"{' and '.join(name for name, on in formats.items() if on)} are both True. Ask for one format.")
        outputs = ModelOutputs.read(outputs)
        check_confidence(output_confidence, outputs.num_classes)
        if outputs.offsets:
            raise ValueError(
                "patch_offsets is set: the images were split into windows, and instances can't be joined across windows. "
                "Preprocess with do_split_image=False, or use post_process_semantic_segmentation."
            )
        results = []
        settings, stuff = self._resize_settings(size, do_resize, do_pad), self._stuff(stuff_classes)
        images = outputs.whole_images(target_sizes, settings)
        streamed = Mask.rle if return_rles else Mask.runs if return_coco_annotation else None
        keep = {} if streamed is None else {"keep": streamed}
        for masks, classes, (layout, target) in zip(outputs.mask_logits, outputs.class_logits, images, strict=True):
            instances = find_instances(
                masks, classes, layout, target, threshold, mask_threshold, top_k, beyond=beyond, stuff_classes=stuff, **keep
            )
            if streamed is not None:
                segmentation = [instance.mask for instance in instances]
            else:
                draw = binary_maps if return_binary_maps else id_map
                segmentation = draw(instances, target, masks.device)
            results.append({"segmentation": segmentation, "segments_info": segments_info(instances, exact=return_rles)})
        return _add_confidence(results, _viewed_images(outputs, target_sizes, settings), output_confidence)

    def post_process_semantic_segmentation(
        self,
        outputs: Any,
        target_sizes: Sizes | None = None,
        size: dict[str, int] | None = None,
        return_segmentation_scores: bool = False,
        tolerance: float = 0.0,
        do_resize: bool | None = None,
        do_pad: bool | None = None,
        output_confidence: str | None = None,
        output_probabilities: bool = False,
    ) -> list[torch.Tensor] | list[SemanticSegmentationPostProcessorOutput]:
        """The best class of each pixel; windows are merged and padding is removed first.

        Args:
            return_segmentation_scores: returns the scores as well, which takes memory for every class at every pixel.
            tolerance: the class of a pixel may score less than the best by up to this. Queries and classes that add less are
                skipped where they do: with .001, a trained model's maps of 133 classes take a third of the time. Returned scores,
                probabilities and confidences are exact.
            output_probabilities: returns the scores divided by their sum at each pixel, which takes as much memory as they do.

        Returns:
            For each image an int64 (H, W) map of classes; with `return_segmentation_scores`, `output_probabilities` or
            `output_confidence`, an object with that `segmentation` and what was asked for of `segmentation_scores` (C, H, W),
            `segmentation_probabilities` (C, H, W), which add up to 1, and `confidence` (H, W).

        Raises:
            ValueError: `target_sizes`, `patch_offsets` or `image_layouts` don't fit the outputs, images were split and
                `target_sizes` is None, or `output_confidence` is none of the four.
        """
        images = _viewed_images(ModelOutputs.read(outputs), target_sizes, self._resize_settings(size, do_resize, do_pad))
        return self.semantic_results(images, return_segmentation_scores, tolerance, output_confidence, output_probabilities)

    @staticmethod
    def semantic_results(
        images: Iterable[ViewedImage],
        return_segmentation_scores: bool = False,
        tolerance: float = 0.0,
        output_confidence: str | None = None,
        output_probabilities: bool = False,
    ) -> list[torch.Tensor] | list[SemanticSegmentationPostProcessorOutput]:
        """[`post_process_semantic_segmentation`] of images whose views are known."""
        results = []
        for image in images:
            check_confidence(output_confidence, image.num_classes)
            maps = _class_maps(image, return_segmentation_scores, output_probabilities, tolerance)
            if output_confidence is not None:
                maps["confidence"] = pixel_confidence(image, output_confidence)
            results.append(maps["segmentation"] if len(maps) == 1 else SemanticSegmentationPostProcessorOutput(maps))
        return results

    def _stuff(self, stuff_classes: list[int] | None) -> frozenset[int]:
        """The argument of a call, and where it is None the stored setting."""
        return frozenset((self.stuff_classes if stuff_classes is None else stuff_classes) or ())

    def _resize_settings(self, size: dict[str, int] | None, do_resize: bool | None, do_pad: bool | None) -> ResizeSettings:
        """The arguments of a call, and for those that are None the stored settings."""
        return ResizeSettings(
            self.size if size is None else size,
            bool(self.do_resize if do_resize is None else do_resize),
            bool(self.do_pad if do_pad is None else do_pad),
        )


def _viewed_images(outputs: ModelOutputs, target_sizes: Sizes | None, settings: ResizeSettings) -> Iterator[ViewedImage]:
    """The images of a batch, each with what its model inputs show of it."""
    class_probs = outputs.class_logits.softmax(-1)[..., :-1]
    if not outputs.offsets:
        for i, (layout, target) in enumerate(outputs.whole_images(target_sizes, settings)):
            height, width = layout.content
            view = View(outputs.mask_logits[i], class_probs[i], layout.canvas, (0, height), (0, width))
            yield ViewedImage([view], layout.content, target)
        return
    for layout, target, windows in outputs.split_images(target_sizes, settings):
        views = [
            View(outputs.mask_logits[index], class_probs[index], layout.canvas, *_spans(layout.content, window))
            for index, window in windows.items()
        ]
        yield ViewedImage(views, layout.content, target)


def _spans(content: Size, window: Window) -> tuple[tuple[int, int], ...]:
    """First and one past the last row, and column, that a window shows; a lone window may be longer than the image."""
    return tuple(part.indices(length)[:2] for part, length in zip(crop_of(content, window), content, strict=True))


def _class_maps(image: ViewedImage, with_scores: bool, with_probabilities: bool, tolerance: float) -> dict[str, torch.Tensor]:
    """The class of each pixel, and the scores and probabilities of all classes if they are asked for."""
    if not (with_scores or with_probabilities):
        return {"segmentation": best_classes(image, tolerance)[0]}
    scores = all_scores(image)
    maps = {"segmentation": scores.argmax(0)}
    if with_scores:
        maps["segmentation_scores"] = scores
    if with_probabilities:
        maps["segmentation_probabilities"] = class_probabilities(scores.clone() if with_scores else scores)
    return maps


def _add_confidence(results: list[dict], images: Iterator[ViewedImage], name: str | None) -> list[dict]:
    """The results, each with the confidence of its image's pixels if one is named."""
    if name is not None:
        for result, image in zip(results, images, strict=True):
            result["confidence"] = pixel_confidence(image, name)
    return results
