"""Mean IoU over classes and pixel accuracy, of semantic segmentation.

Shapes: C classes, n segments of an image's truth, H, W pixels.
"""

from collections.abc import Sequence

import datasets
import evaluate
import torch
from torch import Tensor

from eomt.train_scripts.data.samples import Sample
from eomt.train_scripts.metrics.in_memory_metric import MAP, REFERENCE, InMemoryMetric
from eomt.train_scripts.metrics.overlaps import count_overlaps


class MeanIoU(InMemoryMetric):
    """
    Counts pixels over all images. Gives each class's IoU, the mean of these, and the share of pixels that are right.

    Its `state` is a (C, 3) int64 tensor of pixel counts: right, true and predicted.

    Args:
        num_classes: C.
        kwargs: `evaluate.Metric`'s.
    """

    def __init__(self, num_classes: int, **kwargs):
        self.num_classes = num_classes
        super().__init__(**kwargs)

    def reset(self) -> None:
        self.state = torch.zeros(self.num_classes, 3, dtype=torch.int64)  # (C, 3) pixels: right, true, predicted

    def add(self, prediction: Tensor, reference: Sample) -> None:
        """Scores an image. Pixels of no segment and pixels of crowds are void: they don't count.

        Args:
            prediction: (H, W) integer classes. -1 is no class, which is wrong.
            reference: its `id_map`, `segment_ids`, `class_labels` and `is_crowd` are read.

        Raises:
            ValueError: the maps differ in size, a class doesn't exist, or an id is negative or listed twice.
        """
        prediction = torch.as_tensor(prediction)
        labels = reference.class_labels
        for name, classes, least in (("prediction", prediction, -1), ("class_labels", labels, 0)):
            if classes.numel() and not least <= classes.min() <= classes.max() < self.num_classes:
                raise ValueError(
                    f"{name} has classes from {classes.min().item()} to {classes.max().item()}; allowed are "
                    f"{least}..{self.num_classes - 1}, by num_classes."
                )
        overlaps = count_overlaps(reference.id_map, reference.segment_ids.tolist(), prediction, range(self.num_classes))
        counted = ~reference.is_crowd
        overlaps = torch.from_numpy(overlaps[1:])[counted]  # (n, 1 + C): column 0 is no class
        labels = labels[counted]
        self.state[:, 0].index_add_(0, labels, overlaps.gather(1, 1 + labels[:, None])[:, 0])
        self.state[:, 1].index_add_(0, labels, overlaps.sum(1))
        self.state[:, 2] += overlaps[:, 1:].sum(0)

    def merge(self, states: Sequence[Tensor]) -> None:
        """Adds up the (C, 3) states of all processes."""
        self.state = torch.stack(list(states)).sum(0)

    def _compute(self) -> dict[str, float | list[float | None]]:
        """
        Returns:
            In percent: `miou`, the mean over the classes that occur in truth or prediction (0 if none does);
            `pixel_accuracy`; `per_class`, a list of C IoUs, None for a class that doesn't occur.
        """
        right, true, predicted = self.state.unbind(1)
        union = true + predicted - right
        iou = 100 * right.double() / union.clamp(min=1)
        occurs = union > 0
        return {
            "miou": iou[occurs].mean().item() if occurs.any() else 0.0,
            "pixel_accuracy": 100 * right.sum().item() / max(1, true.sum().item()),
            "per_class": [value if present else None for value, present in zip(iou.tolist(), occurs.tolist(), strict=True)],
        }

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Mean IoU over classes and pixel accuracy.",
            citation="Everingham et al., The PASCAL Visual Object Classes Challenge: A Retrospective, IJCV 2015",
            features=datasets.Features({"predictions": MAP, "references": REFERENCE}),
        )
