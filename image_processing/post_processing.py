"""The methods that turn a model's outputs into segments, for both processors."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from transformers.image_processing_outputs import SemanticSegmentationPostProcessorOutput

from eomt.image_processing.instance import Mask, binary_maps, find_instances, id_map, segments_info
from eomt.image_processing.panoptic import panoptic_segmentation
from eomt.image_processing.semantic import Scene, View, all_scores, best_classes, segments_of_classes
from eomt.image_processing.sizes import (
    Size,
    check_target_sizes,
    content_size,
    crop_of,
    padded_size,
    placements,
    window_side,
    window_size,
)
from eomt.image_processing.windows import check_offsets, read_offsets

Sizes = list[tuple[int, int]]


class PostProcessing:
    """`post_process_*`: outputs of `EomtForUniversalSegmentation` -> segments at each image's own size.

    All compute in float32, whatever the model's precision, and take
        outputs: with `masks_queries_logits` (B, Q, h, w), `class_queries_logits` (B, Q, C + 1) and, when the images were
            split, `patch_offsets`.
        target_sizes: the (height, width) of each image (of the upright one, if it was turned by its EXIF orientation).
            None: results have the size of the model's input, padding included.
        size: the size that the images were resized to, when not the processor's own.

    They take images as resized and padded by `size`. With the processor's own `do_resize=False` they take them as they were, padded
    if its own `do_pad` says so.
    """

    @property
    def _unresized_padded(self) -> bool | None:
        return None if self.do_resize else bool(self.do_pad)

    def post_process_panoptic_segmentation(
        self,
        outputs: Any,
        target_sizes: Sizes | None = None,
        threshold: float = 0.8,
        mask_threshold: float = 0.5,
        overlap_mask_area_threshold: float = 0.8,
        stuff_classes: list[int] | None = None,
        size: dict[str, int] | None = None,
    ) -> list[dict]:
        """Segments without overlap.

        Of images that were split into windows, whose queries don't belong together, each class becomes one segment: its
        pixels are those where the merged class scores are highest, its score is their mean, and no threshold applies.

        Args:
            threshold: queries need a class probability above it.
            mask_threshold: pixels of a lower mask probability become void.
            overlap_mask_area_threshold: a segment must win more than this fraction of its own mask.
            stuff_classes: classes merged to one segment an image; None: the processor's own.

        Returns:
            For each image `segmentation`, int64 (H, W) of segment ids with -1 for void, and `segments_info`, a list of
            {id, label_id, score}.
        """
        mask_logits, class_logits, offsets = _read_outputs(outputs)
        size = self.size if size is None else size
        if offsets:
            scenes = _windowed_scenes(mask_logits, class_logits, offsets, target_sizes, size, self._unresized_padded)
            return [segments_of_classes(scene) for scene in scenes]
        stuff = self.stuff_classes if stuff_classes is None else stuff_classes
        places = placements(mask_logits.shape[-2:], size, target_sizes, len(mask_logits), self._unresized_padded)
        return [
            panoptic_segmentation(*logits, place, threshold, mask_threshold, overlap_mask_area_threshold, frozenset(stuff or ()))
            for *logits, place in zip(mask_logits, class_logits, places, strict=True)
        ]

    def post_process_instance_segmentation(
        self,
        outputs: Any,
        target_sizes: Sizes | None = None,
        threshold: float = 0.8,
        size: dict[str, int] | None = None,
        mask_threshold: float = 0.5,
        overlap_mask_area_threshold: float | None = None,
        top_k: int | None = None,
        return_binary_maps: bool = False,
        return_coco_annotation: bool = False,
        return_rles: bool = False,
    ) -> list[dict]:
        """Instances, each scored by its class probability times the mean mask probability inside its mask.

        Args:
            threshold: the least score.
            mask_threshold: a mask is where the probability is above it.
            overlap_mask_area_threshold: not used, since instances may overlap; the pipeline passes it.
            top_k: candidates are the best so many pairs of query and class, ordered by score (with 100 and `threshold=0`
                the official evaluation). None: each query with its best class, in the queries' order.
            return_binary_maps: `segmentation` is bool (n, H, W), one mask an instance, overlaps kept.
            return_coco_annotation: `segmentation` is a list with the run lengths of each instance: start (the first pixel
                is 1) and length of each run, row by row.
            return_rles: `segmentation` is a list with COCO's compressed RLE of each instance, as pycocotools takes them,
                and scores are not rounded. With this format and the last, one mask is in memory at a time.

        Returns:
            For each image `segmentation`, unless changed as above float32 (H, W) of ids with -1 for none, where the best
            of overlapping instances shows, and `segments_info`, a list of {id, label_id, score, bbox} with bbox =
            [x0, y0, x1, y1] in pixels.

        Raises:
            ValueError: the images were split into windows, or two other formats are asked for.
        """
        formats = {
            "return_binary_maps": return_binary_maps,
            "return_coco_annotation": return_coco_annotation,
            "return_rles": return_rles,
        }
        if sum(formats.values()) > 1:
            raise ValueError(f"{' and '.join(name for name, on in formats.items() if on)} are both True. Ask for one format.")
        mask_logits, class_logits, offsets = _read_outputs(outputs)
        if offsets:
            raise ValueError(
                "patch_offsets is set: the images were split into windows, across which instances can't be told apart. "
                "Preprocess with do_split_image=False, or use post_process_semantic_segmentation."
            )
        size = self.size if size is None else size
        results = []
        places = placements(mask_logits.shape[-2:], size, target_sizes, len(mask_logits), self._unresized_padded)
        streamed = Mask.rle if return_rles else Mask.runs if return_coco_annotation else None
        keep = {} if streamed is None else {"keep": streamed}
        for masks, classes, place in zip(mask_logits, class_logits, places, strict=True):
            found = find_instances(masks, classes, place, threshold, mask_threshold, top_k, **keep)
            if streamed is not None:
                segmentation = [one.mask for one in found]
            else:
                draw = binary_maps if return_binary_maps else id_map
                segmentation = draw(found, place.target, masks.device)
            results.append({"segmentation": segmentation, "segments_info": segments_info(found, exact=return_rles)})
        return results

    def post_process_semantic_segmentation(
        self,
        outputs: Any,
        target_sizes: Sizes | None = None,
        size: dict[str, int] | None = None,
        return_segmentation_scores: bool = False,
        tolerance: float = 0.0,
    ) -> list[torch.Tensor] | list[SemanticSegmentationPostProcessorOutput]:
        """The best class of each pixel; windows are merged and padding is removed first.

        Args:
            return_segmentation_scores: gives the scores as well, which takes memory for every class at every pixel.
            tolerance: a class may be given for the best that scores less by this. Queries and classes that add less
                are then left out where they do: with .001, a trained model's maps of 133 classes take a third of the time.
                Scores that are returned are exact.

        Returns:
            For each image an int64 (H, W) map of classes; with `return_segmentation_scores`, an object with that
            `segmentation` and the `segmentation_scores` (C, H, W).
        """
        mask_logits, class_logits, offsets = _read_outputs(outputs)
        size = self.size if size is None else size
        if offsets:
            scenes = _windowed_scenes(mask_logits, class_logits, offsets, target_sizes, size, self._unresized_padded)
        else:
            scenes = _whole_scenes(mask_logits, class_logits, target_sizes, size, self._unresized_padded)
        if not return_segmentation_scores:
            return [best_classes(scene, tolerance)[0] for scene in scenes]
        return [
            SemanticSegmentationPostProcessorOutput({"segmentation": scores.argmax(0), "segmentation_scores": scores})
            for scores in map(all_scores, scenes)
        ]


def _read_outputs(outputs: Any) -> tuple[torch.Tensor, torch.Tensor, list[tuple[int, int, int]]]:
    """Mask logits and class logits in float32, detached, and the windows' offsets."""
    return (
        outputs.masks_queries_logits.detach().float(),
        outputs.class_queries_logits.detach().float(),
        read_offsets(getattr(outputs, "patch_offsets", None)),  # stock's other outputs have no such field
    )


def _whole_scenes(
    mask_logits: torch.Tensor,
    class_logits: torch.Tensor,
    target_sizes: Sizes | None,
    size: dict[str, int],
    unresized_padded: bool | None,
) -> Iterator[Scene]:
    """The images of a batch that were not split."""
    places = placements(mask_logits.shape[-2:], size, target_sizes, len(mask_logits), unresized_padded)
    for masks, classes, place in zip(mask_logits, class_logits.softmax(-1)[..., :-1], places, strict=True):
        view = View(masks, classes, place.canvas, (0, place.content[0]), (0, place.content[1]))
        yield Scene([view], place.content, place.target)


def _windowed_scenes(
    mask_logits: torch.Tensor,
    class_logits: torch.Tensor,
    offsets: list[tuple[int, int, int]],
    target_sizes: Sizes | None,
    size: dict[str, int],
    unresized_padded: bool | None,
) -> Iterator[Scene]:
    """The images of a batch of windows."""
    if target_sizes is None:
        raise ValueError("target_sizes is None, but images that were split need theirs. Pass each (height, width).")
    targets = check_target_sizes(target_sizes, None)
    check_offsets(offsets, len(mask_logits), len(targets))
    side = window_side(size)
    class_probs = class_logits.softmax(-1)[..., :-1]
    for i, target in enumerate(targets):
        content = content_size(target, size, fit=False) if unresized_padded is None else target
        square = mask_logits.shape[-1] == mask_logits.shape[-2]  # as windows are, but of images that are too short for one
        window = window_size(content, side)
        canvas = padded_size(window, (side, side)) if (square if unresized_padded is None else unresized_padded) else window
        views = [
            View(mask_logits[w], class_probs[w], canvas, *_spans(content, span))
            for w, (image, *span) in enumerate(offsets)
            if image == i
        ]
        yield Scene(views, content, target)


def _spans(content: Size, window: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """First and one past the last row, and column, that a window shows; a lone window may be longer than the image."""
    return tuple(part.indices(length)[:2] for part, length in zip(crop_of(content, tuple(window)), content, strict=True))
