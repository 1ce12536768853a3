"""Scores the model of a training on the evaluation split."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from eomt.image_processing.image_processing_eomt import EomtImageProcessor
from eomt.image_processing.tiles import TiledProcessor
from eomt.mask_classifier import MaskClassifier
from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.evaluation_stream import EvaluationStream
from eomt.train_scripts.evaluation.inference import predictions, score_predictions
from eomt.train_scripts.evaluation.tasks import Task
from eomt.train_scripts.training.overlays import OverlayCallback
from eomt.train_scripts.training.skipped_samples import SkippedSamples


@dataclass
class Validation:
    """
    Scores a model in its task, and keeps a few predictions to be drawn.

    Each process scores its own images, and only the metric's states are joined.

    Args:
        processor: post-processes the model's outputs.
        labels: the task's classes.
        task: that is scored.
        threshold: class score that a query needs to become a segment (panoptic).
        batch_size: images a forward pass.
        overlays: keeps the predictions.
        skipped: warns of images that are left out.
        show_progress: whether to show a bar.

    Attributes:
        scores: what the metric last computed, by class too.
    """

    processor: EomtImageProcessor | TiledProcessor
    labels: Labels
    task: Task
    threshold: float
    batch_size: int
    overlays: OverlayCallback
    skipped: SkippedSamples
    show_progress: bool
    scores: dict[str, Any] = field(default_factory=dict, init=False)

    def score(
        self,
        model: MaskClassifier,
        stream: EvaluationStream,
        autocast: Callable[[], AbstractContextManager],
        equal_passes: bool = False,
    ) -> dict[str, float]:
        """The metrics that are numbers, over the images of all processes, which must all call this.

        Args:
            model: as it is.
            stream: this process's share of the images.
            autocast: makes the context of a forward pass.
            equal_passes: whether all processes must make equally many forward passes, as they must where they share the weights.
        """
        results = predictions(
            model,
            self.processor,
            stream,
            self.task,
            self.batch_size,
            self.threshold,
            autocast,
            show_progress=self.show_progress,
            passes=-(-len(stream) // self.batch_size) if equal_passes else 0,
        )
        self.scores = score_predictions(self.overlays.passing(results, self.task, len(stream)), self.task.metric(self.labels))
        self.skipped.warn(stream.skipped)
        return {name: value for name, value in self.scores.items() if isinstance(value, float)}
