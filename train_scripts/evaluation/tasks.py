"""What semantic, instance and panoptic segmentation make of one dataset: its classes, its truth and its image processor.

Shapes: n segments of an image, H, W pixels.
"""

from dataclasses import replace

import numpy as np
import torch

from eomt.image_processing.image_processing_eomt import EomtImageProcessor
from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.planes import flatten_planes
from eomt.train_scripts.data.samples import Sample, present_segments
from eomt.train_scripts.metrics.average_precision import AveragePrecision
from eomt.train_scripts.metrics.mean_iou import MeanIoU
from eomt.train_scripts.metrics.panoptic_quality import PanopticQuality

TASKS = ("semantic", "instance", "panoptic")
MAIN_SCORE = {"semantic": "miou", "instance": "ap", "panoptic": "pq"}  # by which the best model is chosen


def check_task(task: str) -> None:
    """Raises ValueError for a name that isn't in `TASKS`."""
    if task not in TASKS:
        raise ValueError(f"task={task!r} is unknown; choose one of {', '.join(TASKS)}")


def task_labels(labels: Labels, task: str) -> Labels:
    """The classes that a model of the task learns: of instance segmentation the things alone, otherwise all.

    Raises:
        ValueError: the task is unknown, or instance segmentation is asked of a dataset without things.
    """
    check_task(task)
    if task != "instance":
        return labels
    names = [name for name, isthing in zip(labels.names, labels.isthing, strict=True) if isthing]
    if not names:
        raise ValueError("task='instance' needs things, but labels.json has none; set isthing there, or choose another task")
    return Labels(names, [True] * len(names))


class TaskSamples:
    """
    A dataset's sample -> the task's. Crowds stay crowds: scoring excuses them, and training leaves them out.

    - semantic: the segments of a class become one;
    - instance: things only, and their classes count among the things alone. Stuff becomes void;
    - panoptic: as it is.

    Only instances may overlap: for the other tasks, of segments that do the smaller ones show.

    Args:
        labels: the dataset's classes.
        task: one of `TASKS`.
    """

    def __init__(self, labels: Labels, task: str):
        check_task(task)
        self.task = task
        self.isthing = torch.tensor(labels.isthing, dtype=torch.bool)
        self.thing_index = self.isthing.cumsum(0) - 1  # of each class among the things

    def __call__(self, sample: Sample) -> Sample:
        if self.task == "instance":
            return self._things(sample)
        sample = without_overlap(sample)
        return merge_classes(sample) if self.task == "semantic" else sample

    def _things(self, sample: Sample) -> Sample:
        kept = self.isthing[sample.class_labels]  # pixels of a segment that isn't listed are void
        return replace(
            sample,
            segment_ids=sample.segment_ids[kept],
            class_labels=self.thing_index[sample.class_labels[kept]],
            is_crowd=sample.is_crowd[kept],
        )


def without_overlap(sample: Sample) -> Sample:
    """One plane, and the segments of which something shows."""
    if sample.id_map.ndim == 2:
        return sample
    id_map = torch.from_numpy(flatten_planes(sample.id_map.numpy()))
    shown = present_segments(id_map, sample.segment_ids)
    return replace(
        sample,
        id_map=id_map,
        segment_ids=sample.segment_ids[shown],
        class_labels=sample.class_labels[shown],
        is_crowd=sample.is_crowd[shown],
    )


def merge_classes(sample: Sample) -> Sample:
    """One segment a class, with the id class + 1, and one for each crowd; void is 0."""
    crowd, labels = sample.is_crowd, sample.class_labels
    classes = labels[~crowd].unique()
    new_ids = labels + 1  # 0 stays void
    first_free = int(new_ids.max()) + 1 if len(labels) else 1
    new_ids[crowd] = first_free + torch.arange(int(crowd.sum()))
    ids = sample.id_map.numpy()
    table = np.zeros(max(int(ids.max(initial=0)), *sample.segment_ids.tolist(), 0) + 1, dtype=np.int32)  # of VOID
    table[sample.segment_ids.numpy()] = new_ids.numpy()
    return replace(
        sample,
        id_map=torch.from_numpy(table[ids]),
        segment_ids=torch.cat([classes + 1, new_ids[crowd]]),
        class_labels=torch.cat([classes, labels[crowd]]),
        is_crowd=torch.arange(len(classes) + int(crowd.sum())) >= len(classes),
    )


def make_metric(task: str, labels: Labels, boundary: bool = False) -> PanopticQuality | MeanIoU | AveragePrecision:
    """The metric of a task, which takes what `eomt.train_scripts.evaluation.inference.predictions` yields.

    Args:
        labels: the task's classes, see [`task_labels`].
        boundary: whether average precision is given for boundaries as well.

    Raises:
        ValueError: the task is unknown, or `boundary` is asked of another than instance segmentation.
    """
    check_task(task)
    if boundary and task != "instance":
        raise ValueError(f"boundary=True is for task='instance', not {task!r}; leave it out")
    if task == "semantic":
        return MeanIoU(num_classes=len(labels))
    return AveragePrecision(len(labels), boundary=boundary) if task == "instance" else PanopticQuality(labels.isthing)


def task_processor(task: str, image_size: int, labels: Labels) -> EomtImageProcessor:
    """The image processor of the paper's evaluation (section A.3).

    Semantic: the short side becomes `image_size`, and overlapping square windows cover the long one. Panoptic and instance:
    the image is fitted inside a square and padded. Stuff is stored, so that the pipeline merges it.

    Args:
        image_size: side of the model's square input, pixels.
        labels: the task's classes, see [`task_labels`].
    """
    check_task(task)
    windows = task == "semantic"
    return EomtImageProcessor(
        size={"shortest_edge": image_size} if windows else {"shortest_edge": image_size, "longest_edge": image_size},
        do_split_image=windows,
        do_pad=not windows,
        stuff_classes=[index for index, isthing in enumerate(labels.isthing) if windows or not isthing],
    )
