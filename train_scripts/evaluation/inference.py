"""Predictions over a stream of images, in the form that the task's metric takes."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from accelerate.utils import gather_object
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from eomt.image_processing.defaults import THRESHOLD
from eomt.image_processing.image_processing_eomt import EomtImageProcessor
from eomt.modeling_eomt import EomtForUniversalSegmentation, EomtForUniversalSegmentationOutput
from eomt.train_scripts.data.evaluation_stream import EvaluationStream, collate_evaluation
from eomt.train_scripts.data.image_sources import ImageStream, NamedImage
from eomt.train_scripts.data.samples import Sample
from eomt.train_scripts.evaluation.tasks import check_task

TOP_INSTANCES = 100  # of an image, as in COCO's evaluation and the official code
SCORE_TOLERANCE = 0.001  # of class scores in maps of classes: half precision errs by more


@torch.no_grad()
def predictions(
    model: EomtForUniversalSegmentation,
    processor: EomtImageProcessor,
    stream: EvaluationStream | ImageStream,
    task: str,
    batch_size: int,
    threshold: float = THRESHOLD,
    autocast: Callable[[], AbstractContextManager] = nullcontext,
    show_progress: bool = True,
    passes: int = 0,
    tolerance: float = SCORE_TOLERANCE,
) -> Iterator[tuple[Sample | NamedImage, dict | Tensor]]:
    """Each image with what is found in it, by the model in evaluation mode, which is put back afterwards.

    Results are made image by image and dropped when the next is asked for, so that memory doesn't grow with the batch.

    Args:
        model, processor: as trained or loaded.
        stream: the images, with or without truth.
        task: one of `TASKS`.
        batch_size: images a forward pass.
        threshold: class score a query needs to become a segment (panoptic alone).
        autocast: makes the context of a forward pass.
        show_progress: whether to show a bar.
        passes: forward passes to make at least, the last of them for nothing: where processes share the weights of a model (FSDP),
            all must make as many.
        tolerance: a class whose score is lower than the best by no more may stand in a map of classes.

    Yields:
        The stream's sample and, at its size: for panoptic what `post_process_panoptic_segmentation` gives; for semantic a map of
        classes (H, W); for instance the best 100 as a dict of `rles` (COCO's, compressed), `scores` and `labels`.
    """
    check_task(task)
    training = model.training
    loader = DataLoader(stream, batch_size=batch_size, collate_fn=collate_evaluation)
    bar = tqdm(total=getattr(stream, "share", None), desc="predicting", unit="image", disable=not show_progress)
    model.eval()
    made = 0
    try:
        for batch in loader:
            made += 1
            with autocast():
                outputs = model(pixel_values=batch["pixel_values"].to(model.device))
            for sample, one in zip(batch["samples"], images_of(outputs, batch), strict=True):
                yield sample, result_of(one, processor, task, tuple(sample.image.shape[1:]), threshold, tolerance)
                bar.total = getattr(stream, "share", None)
                bar.update()
        for _ in range(passes - made):
            with autocast():
                model(pixel_values=torch.zeros(1, 3, *model.config.image_size_hw, device=model.device))
    finally:
        bar.close()
        model.train(training)


def images_of(outputs: EomtForUniversalSegmentationOutput, batch: dict) -> Iterator[EomtForUniversalSegmentationOutput]:
    """The outputs of a batch, one image with all its windows after the other."""
    masks = outputs.masks_queries_logits.split(batch["windows"])
    classes = outputs.class_queries_logits.split(batch["windows"])
    for mask_logits, class_logits, offsets, layouts in zip(
        masks, classes, batch["patch_offsets"], batch["image_layouts"], strict=True
    ):
        yield EomtForUniversalSegmentationOutput(
            masks_queries_logits=mask_logits,
            class_queries_logits=class_logits,
            patch_offsets=offsets,
            image_layouts=layouts,
        )


def result_of(
    outputs: EomtForUniversalSegmentationOutput,
    processor: EomtImageProcessor,
    task: str,
    size: tuple[int, int],
    threshold: float,
    tolerance: float = SCORE_TOLERANCE,
) -> dict | Tensor:
    """One image's outputs -> its result at `size`, as [`predictions`] yields it."""
    if task == "semantic":
        return processor.post_process_semantic_segmentation(outputs, target_sizes=[size], tolerance=tolerance)[0]
    if task == "panoptic":
        return processor.post_process_panoptic_segmentation(outputs, target_sizes=[size], threshold=threshold)[0]
    found = processor.post_process_instance_segmentation(
        outputs, target_sizes=[size], threshold=0.0, top_k=TOP_INSTANCES, return_rles=True
    )[0]
    return {
        "rles": found["segmentation"],
        "scores": torch.tensor([segment["score"] for segment in found["segments_info"]]),
        "labels": torch.tensor([segment["label_id"] for segment in found["segments_info"]], dtype=torch.int64),
    }


def score_predictions(results: Iterator[tuple[Sample, dict | Tensor]], metric: Any) -> dict[str, Any]:
    """Adds this process's images to a metric, joins the states of all processes, which must all call this, and computes.

    Args:
        results: as [`predictions`] yields them.
        metric: of the task, see `eomt.train_scripts.evaluation.tasks.make_metric`.
    """
    for sample, result in results:
        metric.add_batch(predictions=[result], references=[sample])
    metric.merge(gather_object([metric.state]))
    return metric.compute()
