"""What scoring and timing ask of a model, whoever wrote it: images in, results in the form of the task's metric out.

Shapes: H, W pixels of an image at its own size.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import nn
from tqdm.auto import tqdm

from eomt.exported import ExportedMaskClassifier
from eomt.mask_classifier import EomtForUniversalSegmentationOutput, MaskClassifier
from eomt.train_scripts.data.evaluation_stream import EvaluationStream
from eomt.train_scripts.data.samples import Sample
from eomt.train_scripts.evaluation.inference import forward_views, predictions
from eomt.train_scripts.evaluation.tasks import Result, Task
from eomt.train_scripts.evaluation.views import Views


class Segmenter(ABC):
    """
    A model with its image processor, for one task. Its steps are those of a user: `processor`, `forward`, `post_process`.

    Attributes:
        implementation: whose code runs, one of `IMPLEMENTATIONS`.
        model: in evaluation mode, on its device.
        processor: `processor(images=[image], return_tensors="pt")` makes the model's inputs of an image, (3, H, W) uint8.
        threshold: class score that a query needs to become a segment; None where the model's post-processing has its default.
    """

    implementation: ClassVar[str]
    model: nn.Module
    processor: Callable[..., Mapping[str, Any]]
    threshold: float | None

    @property
    def masked(self) -> bool | None:
        """Whether attention is masked; None where that is the model's affair."""
        return None

    @abstractmethod
    def forward(self, inputs: Mapping[str, Any]) -> Any:
        """The model's outputs for the inputs of one image."""

    @abstractmethod
    def post_process(self, outputs: Any, size: tuple[int, int]) -> Any:
        """The segments of one image.

        Args:
            outputs: as [`forward`] gives them.
            size: `(height, width)` of the image.
        """

    def result(self, segments: Any) -> Result:
        """What [`post_process`] gives, in the form that the task's metric takes. It is no part of what is timed."""
        return segments

    @torch.no_grad()
    def predictions(self, stream: EvaluationStream, show_progress: bool) -> Iterator[tuple[Sample, Result]]:
        """Each image of a stream, whose inputs [`processor`] has made, with its result."""
        for example in tqdm(stream, desc="predicting", unit="image", disable=not show_progress):
            inputs = {name: value for name, value in example.items() if name != "sample"}
            sample = example["sample"]
            yield sample, self.result(self.post_process(self.forward(inputs), tuple(sample.image.shape[1:])))


@dataclass
class EomtSegmenter(Segmenter):
    """A model of this package.

    Args:
        model, processor: as loaded.
        task: what is predicted.
        threshold: class score that a query needs to become a segment (panoptic alone).
        tolerance: a class whose score is lower than the best by no more may stand in a map of classes.
        batch_size: images a forward pass of [`predictions`], and views of one image.
        autocast: makes the context of a forward pass.
    """

    implementation = "eomt"
    model: MaskClassifier | ExportedMaskClassifier
    processor: Views
    task: Task
    threshold: float
    tolerance: float
    batch_size: int
    autocast: Callable[[], AbstractContextManager]

    @property
    def masked(self) -> bool:
        return bool(self.model.attn_mask_probs.all())

    def forward(self, inputs: Mapping[str, Any]) -> EomtForUniversalSegmentationOutput:
        with self.autocast():
            outputs = forward_views(self.model, self.processor, inputs["pixel_values"], self.batch_size)
        layouts = {name: value for name, value in inputs.items() if name != "pixel_values"}
        return replace(outputs, **layouts)

    def post_process(self, outputs: EomtForUniversalSegmentationOutput, size: tuple[int, int]) -> Result:
        return self.task.result(self.processor, outputs, size, self.threshold, self.tolerance)

    def predictions(self, stream: EvaluationStream, show_progress: bool) -> Iterator[tuple[Sample, Result]]:
        """As of any segmenter, but in batches."""
        return predictions(
            self.model,
            self.processor,
            stream,
            self.task,
            self.batch_size,
            self.threshold,
            self.autocast,
            show_progress=show_progress,
            tolerance=self.tolerance,
        )
