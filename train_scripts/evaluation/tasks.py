"""Semantic, instance and panoptic segmentation: everything that depends on the task, in one object a task.

The name of a task is an option; [`task_of`] turns it into the object, once, and the rest of the code asks the object.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from pycocotools import mask as coco_mask
from torch import Tensor

from eomt.image_processing.image_processing_eomt import EomtImageProcessor
from eomt.image_processing.pictures import Segmentation
from eomt.mask_classifier import EomtForUniversalSegmentationOutput
from eomt.train_scripts.data.choices import check_choice
from eomt.train_scripts.data.dataset_folder import Labels, shard_paths
from eomt.train_scripts.data.samples import Sample
from eomt.train_scripts.data.segment_tables import most_things
from eomt.train_scripts.data.single_class import check_several_classes
from eomt.train_scripts.data.task_samples import instance_sample, panoptic_sample, semantic_sample
from eomt.train_scripts.evaluation.prediction_formats import (
    InstanceFormat,
    PanopticFormat,
    PredictionFormat,
    SemanticFormat,
)
from eomt.train_scripts.metrics.average_precision import AveragePrecision
from eomt.train_scripts.metrics.in_memory_metric import InMemoryMetric
from eomt.train_scripts.metrics.mean_iou import MeanIoU
from eomt.train_scripts.metrics.panoptic_quality import PanopticQuality

TOP_INSTANCES = 100  # of an image, as in COCO's evaluation and the official code
KEPT_SCORE = 0.05  # from which on instances beyond these are kept where there may be more objects
DRAWN_SCORE = 0.5  # instances of a lower score are not drawn
Result = dict[str, Any] | Tensor  # of an image, in the form of its task


class Task(ABC):
    """
    What a task makes of one dataset, and of a model's outputs.

    Attributes:
        name: of the option.
        main_score: by which the best model is chosen.
        splits_images: whether the image processor cuts images into windows.
        needs_things: whether stuff is left out, so that a model of stuff alone gives nothing.
        sample: what a model learns of a sample, given the dataset's classes as well; the sample itself is left alone.
        prediction_format: how predictions are written to files.
    """

    name: str
    main_score: str
    splits_images: bool = False
    needs_things: bool = False
    sample: Callable[[Sample, Labels], Sample]
    prediction_format: type[PredictionFormat]

    def labels(self, labels: Labels) -> Labels:
        """The classes that a model learns, of a dataset's."""
        return labels

    def processor(self, image_size: int, labels: Labels) -> EomtImageProcessor:
        """The image processor of the paper's evaluation (section A.3): the image is fitted inside a square and padded.

        Args:
            image_size: side of the model's square input, pixels.
            labels: the task's classes. Stuff is stored, so that the pipeline merges it.
        """
        return EomtImageProcessor(
            size={"shortest_edge": image_size, "longest_edge": image_size},
            do_split_image=False,
            do_pad=True,
            stuff_classes=[index for index, isthing in enumerate(labels.isthing) if not isthing],
        )

    def check_data(self, folder: str, split: str) -> None:
        """Checks that the task can be learnt from a split, a dataset in the form of `eomt.train_scripts.data.dataset_folder`.

        Raises:
            ValueError: it can't, or there is no such split.
        """
        shard_paths(folder, split)

    def of_split(self, folder: str, split: str) -> "Task":
        """The task as a split is scored in it, a dataset in the form of `eomt.train_scripts.data.dataset_folder`.

        Raises:
            ValueError: there is no such split.
        """
        return self

    def of_files(self) -> "Task":
        """The task as predictions are written in it, where nobody knows how many objects there are."""
        return self

    @abstractmethod
    def metric(self, labels: Labels, boundary: bool = False) -> InMemoryMetric:
        """The metric, which takes what [`result`] gives.

        Args:
            labels: the task's classes.
            boundary: whether average precision is given for boundaries as well.

        Raises:
            ValueError: `boundary` is asked of another task than instance segmentation.
        """

    def scores(self, labels: Labels) -> list[str]:
        """The names of the scores that are numbers, each of which may choose the best model.

        Args:
            labels: the task's classes.
        """
        return [name for name, value in self.metric(labels).compute().items() if isinstance(value, float)]

    def _refuse_boundary(self, boundary: bool) -> None:
        if boundary:
            raise ValueError(f"boundary=True is for task='instance', not {self.name!r}; leave it out")

    @abstractmethod
    def result(
        self,
        processor: EomtImageProcessor,
        outputs: EomtForUniversalSegmentationOutput,
        size: tuple[int, int],
        threshold: float,
        tolerance: float,
    ) -> Result:
        """One image's prediction at its own size.

        Args:
            processor: that made the model's input.
            outputs: of one image, with all its windows.
            size: `(height, width)` of the image.
            threshold: class score that a query needs to become a segment (panoptic alone).
            tolerance: a class whose score is lower than the best by no more may stand in a map of classes (semantic alone).
        """

    @abstractmethod
    def drawn(self, result: Result, size: tuple[int, int]) -> Segmentation:
        """The segments of a result that pictures show.

        Args:
            result: as [`result`] gives it.
            size: `(height, width)` of the image.
        """


class SemanticTask(Task):
    """A class for each pixel. The segments of a class become one, and the short side is resized and cut into square windows."""

    name, main_score, splits_images, prediction_format = "semantic", "miou", True, SemanticFormat
    sample = staticmethod(semantic_sample)

    def processor(self, image_size: int, labels: Labels) -> EomtImageProcessor:
        """The image processor of the paper's evaluation (section A.3): the short side becomes `image_size`, and overlapping square
        windows cover the long one."""
        return EomtImageProcessor(
            size={"shortest_edge": image_size},
            do_split_image=True,
            do_pad=False,
            stuff_classes=list(range(len(labels))),  # a class is one segment
        )

    def check_data(self, folder: str, split: str) -> None:
        check_several_classes(folder, split)

    def metric(self, labels: Labels, boundary: bool = False) -> MeanIoU:
        self._refuse_boundary(boundary)
        return MeanIoU(num_classes=len(labels))

    def result(self, processor, outputs, size, threshold, tolerance) -> Tensor:
        """A map of classes (H, W)."""
        return processor.post_process_semantic_segmentation(outputs, target_sizes=[size], tolerance=tolerance)[0]

    def drawn(self, result: Tensor, size: tuple[int, int]) -> Segmentation:
        return Segmentation(result, {label: label for label in result.unique().tolist() if label >= 0})


class InstanceTask(Task):
    """Things, which may overlap. Stuff is left out."""

    name, main_score, needs_things, prediction_format = "instance", "ap", True, InstanceFormat

    def labels(self, labels: Labels) -> Labels:
        """The things.

        Raises:
            ValueError: there are none.
        """
        names = [name for name, isthing in zip(labels.names, labels.isthing, strict=True) if isthing]
        if not names:
            raise ValueError("task='instance' needs things, but labels.json has none; set isthing there, or choose another task")
        return Labels(names, [True] * len(names))

    sample = staticmethod(instance_sample)

    def of_split(self, folder: str, split: str) -> "InstanceTask":
        """Where an image has more than 100 objects, all that is found is scored as well."""
        return CrowdedInstanceTask() if most_things(folder, split) > TOP_INSTANCES else self

    def of_files(self) -> "InstanceTask":
        return CompleteInstanceTask()

    def metric(self, labels: Labels, boundary: bool = False) -> AveragePrecision:
        return AveragePrecision(len(labels), boundary=boundary)

    def result(self, processor, outputs, size, threshold, tolerance) -> dict[str, Any]:
        """The best 100 instances as `rles` (COCO's, compressed), `scores` (n,) and `labels` (n,)."""
        return self._instances(processor, outputs, size)

    def _instances(self, processor, outputs, size, beyond: float | None = None) -> dict[str, Any]:
        """The best 100 instances, and further ones whose score is at least `beyond`."""
        instances = processor.post_process_instance_segmentation(
            outputs, target_sizes=[size], threshold=0.0, top_k=TOP_INSTANCES, beyond=beyond, return_rles=True
        )[0]
        infos = instances["segments_info"]
        return {
            "rles": instances["segmentation"],
            "scores": torch.tensor([info["score"] for info in infos]),
            "labels": torch.tensor([info["label_id"] for info in infos], dtype=torch.int64),
        }

    def drawn(self, result: dict, size: tuple[int, int]) -> Segmentation:
        """Of overlapping instances the best shows, and those of a low score don't."""
        id_map = torch.full(size, -1, dtype=torch.int32)
        shown = [index for index in result["scores"].argsort().tolist() if result["scores"][index] >= DRAWN_SCORE]
        for index in shown:
            id_map[torch.from_numpy(coco_mask.decode(result["rles"][index])).bool()] = index
        return Segmentation(id_map, {index: result["labels"][index].item() for index in sorted(shown)})


class CompleteInstanceTask(InstanceTask):
    """All that is found: the best 100 instances of any score, and further ones from a score of .05 on."""

    def result(self, processor, outputs, size, threshold, tolerance) -> dict[str, Any]:
        """As of [`InstanceTask`], with the further ones."""
        return self._instances(processor, outputs, size, beyond=KEPT_SCORE)


class CrowdedInstanceTask(InstanceTask):
    """Scored twice: by the best 100 instances of an image, which is COCO's AP, and by all that is found."""

    def metric(self, labels: Labels, boundary: bool = False) -> AveragePrecision:
        return AveragePrecision(len(labels), boundary=boundary, complete=True)

    def result(self, processor, outputs, size, threshold, tolerance) -> dict[str, Any]:
        """As of [`InstanceTask`], with `all`, what [`CompleteInstanceTask`] gives."""
        every = self._instances(processor, outputs, size, beyond=KEPT_SCORE)
        return {**self._instances(processor, outputs, size), "all": every}

    def drawn(self, result: dict, size: tuple[int, int]) -> Segmentation:
        return super().drawn(result["all"], size)


class PanopticTask(Task):
    """A segment for each pixel, of things and stuff."""

    name, main_score, prediction_format = "panoptic", "pq", PanopticFormat
    sample = staticmethod(panoptic_sample)

    def metric(self, labels: Labels, boundary: bool = False) -> PanopticQuality:
        self._refuse_boundary(boundary)
        return PanopticQuality(labels.isthing)

    def result(self, processor, outputs, size, threshold, tolerance) -> dict[str, Any]:
        """What `post_process_panoptic_segmentation` gives."""
        return processor.post_process_panoptic_segmentation(outputs, target_sizes=[size], threshold=threshold)[0]

    def drawn(self, result: dict, size: tuple[int, int]) -> Segmentation:
        return Segmentation.of_result(result)


TASKS: dict[str, Task] = {task.name: task for task in (SemanticTask(), InstanceTask(), PanopticTask())}


def task_of(name: str) -> Task:
    """The task of a name.

    Raises:
        ValueError: the name isn't in `TASKS`.
    """
    check_choice("task", name, TASKS)
    return TASKS[name]
