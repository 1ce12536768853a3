"""Predictions over a stream of images, in the form that the task's metric takes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch
from accelerate.utils import gather_object
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from eomt.exported import ExportedMaskClassifier
from eomt.image_processing.averaging import AveragingProcessor
from eomt.image_processing.defaults import THRESHOLD
from eomt.image_processing.image_processing_eomt import EomtImageProcessor
from eomt.image_processing.tiles import TiledProcessor
from eomt.mask_classifier import EomtForUniversalSegmentationOutput, MaskClassifier
from eomt.train_scripts.data.evaluation_stream import collate_evaluation
from eomt.train_scripts.data.image_sources import NamedImage
from eomt.train_scripts.data.samples import Sample
from eomt.train_scripts.evaluation.inference_options import SCORE_TOLERANCE
from eomt.train_scripts.evaluation.tasks import Result

WINDOWS_A_PASS = 8  # of an image in a batch; those of usual images, with fewer, go through the model in one pass


class PredictionStream(Protocol):
    """Model inputs, an image after the other, as `EvaluationStream` and `ImageStream` yield them."""

    @property
    def share(self) -> int | None:
        """How many images to expect, as far as is known."""

    def __iter__(self) -> Iterator[dict]: ...


class ResultMaker(Protocol):
    """Makes the result of an image, as a `Task` does."""

    def result(
        self,
        processor: EomtImageProcessor,
        outputs: EomtForUniversalSegmentationOutput,
        size: tuple[int, int],
        threshold: float,
        tolerance: float,
    ) -> Any: ...


@torch.no_grad()
def predictions(
    model: MaskClassifier | ExportedMaskClassifier,
    processor: EomtImageProcessor | TiledProcessor | AveragingProcessor,
    stream: PredictionStream,
    task: ResultMaker,
    batch_size: int,
    threshold: float = THRESHOLD,
    autocast: Callable[[], AbstractContextManager] = nullcontext,
    show_progress: bool = True,
    passes: int = 0,
    tolerance: float = SCORE_TOLERANCE,
) -> Iterator[tuple[Sample | NamedImage, Any]]:
    """Each image with its result, by the model in evaluation mode, which is put back afterwards.

    Results are made image by image and dropped when the next is asked for, so that memory doesn't grow with the batch.

    Args:
        model, processor: as trained or loaded. Of tiles and scales, a forward pass has `batch_size` views at a time.
        stream: the images, with or without truth.
        task: that the results are for.
        batch_size: images a forward pass. If they have more than `WINDOWS_A_PASS` windows each, they have several passes.
        threshold: class score a query needs to become a segment (panoptic alone).
        autocast: makes the context of a forward pass.
        show_progress: whether to show a bar.
        passes: forward passes to make at least, the last of them for nothing: where processes share the weights of a model (FSDP),
            all must make as many. All windows of a batch are in one pass then.
        tolerance: a class whose score is lower than the best by no more may stand in a map of classes.

    Yields:
        The stream's sample and, at its size, what the task's `result` gives.
    """
    training = model.training
    loader = DataLoader(stream, batch_size=batch_size, collate_fn=collate_evaluation)
    bar = tqdm(total=stream.share, desc="predicting", unit="image", disable=not show_progress)
    model.eval()
    made = 0
    try:
        for batch in loader:
            made += 1
            with autocast():
                outputs = forward_views(model, processor, batch["pixel_values"], batch_size, split_windows=not passes)
            for sample, one in zip(batch["samples"], images_of(outputs, batch), strict=True):
                yield sample, task.result(processor, one, tuple(sample.image.shape[1:]), threshold, tolerance)
                bar.total = stream.share
                bar.update()
        for _ in range(passes - made):
            with autocast():
                model(pixel_values=torch.zeros(1, 3, *model.config.image_size_hw, device=model.device))
    finally:
        bar.close()
        model.train(training)


def forward_views(
    model: MaskClassifier | ExportedMaskClassifier,
    processor: EomtImageProcessor | TiledProcessor | AveragingProcessor,
    pixel_values: torch.Tensor,
    batch_size: int,
    split_windows: bool = True,
) -> EomtForUniversalSegmentationOutput:
    """The outputs of all inputs that a processor made, of which each forward pass has `batch_size` views of tiles and scales.

    Args:
        model, processor: as in [`predictions`].
        pixel_values: (B, 3, H, W).
        batch_size: images a forward pass, or views.
        split_windows: whether a forward pass has `WINDOWS_A_PASS` windows an image at most, or all.
    """
    most = batch_size
    if isinstance(processor, EomtImageProcessor):
        most = WINDOWS_A_PASS * batch_size if split_windows else max(1, len(pixel_values))
    return join_outputs([model(pixel_values=part.to(model.device)) for part in pixel_values.split(most)])


def join_outputs(parts: Sequence[EomtForUniversalSegmentationOutput]) -> EomtForUniversalSegmentationOutput:
    """The logits of several forward passes as of one."""
    if len(parts) == 1:
        return parts[0]
    return EomtForUniversalSegmentationOutput(
        masks_queries_logits=torch.cat([part.masks_queries_logits for part in parts]),
        class_queries_logits=torch.cat([part.class_queries_logits for part in parts]),
    )


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


def score_predictions(results: Iterator[tuple[Sample, Result]], metric: Any) -> dict[str, Any]:
    """Adds this process's images to a metric, joins the states of all processes, which must all call this, and computes.

    Args:
        results: as [`predictions`] yields them.
        metric: of the task.
    """
    for sample, result in results:
        metric.add_batch(predictions=[result], references=[sample])
    metric.merge(gather_object([metric.state]))
    return metric.compute()
