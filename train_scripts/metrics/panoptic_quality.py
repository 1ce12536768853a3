"""Panoptic quality (Kirillov et al., "Panoptic Segmentation", CVPR 2019) by the rules of the COCO panoptic evaluation.

Shapes: C classes, n segments of an image's truth, m of its prediction, H, W pixels.
"""

from collections.abc import Mapping, Sequence

import datasets
import evaluate
import numpy as np
import torch
from torch import Tensor

from eomt.train_scripts.data.samples import Sample
from eomt.train_scripts.metrics.in_memory_metric import MAP, REFERENCE, InMemoryMetric
from eomt.train_scripts.metrics.overlaps import count_overlaps

# IoUs are added up as integers, in steps of 2^-40: integer sums don't depend on the order, floating-point sums would.
# int64 has room for 8 million matches a class.
ONE = 1 << 40


class PanopticQuality(InMemoryMetric):
    """
    Adds up the matches of all images and gives PQ, SQ and RQ.

    Its `state` is a (C, 4) int64 tensor: the sum of IoUs in steps of 1 / ONE, true positives, false positives and misses.

    Args:
        things: for each class, whether it is a thing.
        kwargs: `evaluate.Metric`'s.
    """

    def __init__(self, things: Sequence[bool], **kwargs):
        self.things = torch.tensor(things, dtype=torch.bool)
        super().__init__(**kwargs)

    def reset(self) -> None:
        self.state = torch.zeros(len(self.things), 4, dtype=torch.int64)

    def add(self, prediction: Mapping, reference: Sample) -> None:
        """Scores an image.

        A predicted and a true segment of one class match when their IoU exceeds .5. Void pixels don't count in the IoU. Since
        the segments of a map don't overlap, a segment has at most one match. A prediction of which more than half lies on void
        and on crowd of its class is no false positive. A crowd is never a miss. An image may have several crowds of a class:
        all of them excuse predictions, while COCO's evaluation, whose annotations have one at most, takes the last.

        Args:
            prediction: `segmentation`, (H, W) ids; `segments_info`, m entries with `id` and `label_id`. Ids that
                `segments_info` lacks, such as -1, are void.
            reference: its `id_map`, `segment_ids`, `class_labels` and `is_crowd` are read.

        Raises:
            ValueError: the maps differ in size, a class doesn't exist, or an id is negative or listed twice.
        """
        segments = prediction["segments_info"]
        predicted_classes = self._classes([segment["label_id"] for segment in segments], "segments_info")  # (m,)
        true_classes = self._classes(reference.class_labels.tolist(), "class_labels")  # (n,)
        crowd = reference.is_crowd.numpy()
        overlaps = count_overlaps(
            reference.id_map,
            reference.segment_ids.tolist(),
            torch.as_tensor(prediction["segmentation"]),
            [segment["id"] for segment in segments],
        )
        true_areas, predicted_areas = overlaps.sum(1)[1:], overlaps.sum(0)[1:]
        on_void, overlaps = overlaps[0, 1:], overlaps[1:, 1:]  # (m,), (n, m)

        same_class = true_classes[:, None] == predicted_classes
        union = true_areas[:, None] + predicted_areas - overlaps - on_void
        iou = overlaps / np.maximum(union, 1)
        matched = same_class & ~crowd[:, None] & (iou > 0.5)
        on_crowd = (overlaps * (same_class & crowd[:, None])).sum(0)
        excused = on_void + on_crowd > 0.5 * predicted_areas
        state = self.state.numpy()  # shares the tensor's memory
        np.add.at(state, (true_classes, 0), np.rint(iou * matched * ONE).astype(np.int64).sum(1))
        np.add.at(state, (true_classes, 1), matched.any(1))
        np.add.at(state, (predicted_classes, 2), ~matched.any(0) & ~excused & (predicted_areas > 0))
        np.add.at(state, (true_classes, 3), ~matched.any(1) & ~crowd & (true_areas > 0))

    def merge(self, states: Sequence[Tensor]) -> None:
        """Adds up the (C, 4) states of all processes. The sum is exact, since they are integers."""
        self.state = torch.stack(list(states)).sum(0)

    def _compute(self) -> dict[str, float | list[dict[str, float] | None]]:
        """
        Returns:
            In percent: `pq`, `sq` and `rq`, means over the classes that occur in truth or prediction (0 if none does); the same
            with `_things` and `_stuff`, where there are such classes; `per_class`, a list of C dicts of `pq`, `sq` and `rq`,
            None for a class that doesn't occur.
        """
        iou, hits, false_positives, misses = self.state.double().unbind(1)
        iou = iou / ONE
        occurs = hits + false_positives + misses > 0
        weight = (hits + 0.5 * false_positives + 0.5 * misses).clamp(min=0.5)
        quality = {
            "pq": 100 * iou / weight,
            "sq": 100 * iou / hits.clamp(min=1),
            "rq": 100 * hits / weight,
        }
        result = {}
        for suffix, group in (("", torch.ones_like(self.things)), ("_things", self.things), ("_stuff", ~self.things)):
            counted = group & occurs
            if group.any():
                means = {name: values[counted].mean().item() if counted.any() else 0.0 for name, values in quality.items()}
                result |= {f"{name}{suffix}": mean for name, mean in means.items()}
        table = zip(*(quality[name].tolist() for name in ("pq", "sq", "rq")), strict=True)
        rows = [dict(zip(("pq", "sq", "rq"), row, strict=True)) for row in table]
        result["per_class"] = [row if present else None for row, present in zip(rows, occurs.tolist(), strict=True)]
        return result

    def _classes(self, labels: Sequence[int], name: str) -> np.ndarray:
        if wrong := sorted({label for label in labels if not 0 <= label < len(self.things)}):
            raise ValueError(f"{name} has the classes {wrong}; allowed are 0..{len(self.things) - 1}, as many as things has.")
        return np.array(labels, dtype=np.int64)

    def _info(self) -> evaluate.MetricInfo:
        segment = {"id": datasets.Value("int64"), "label_id": datasets.Value("int64")}
        return evaluate.MetricInfo(
            description="Panoptic, segmentation and recognition quality by the rules of the COCO panoptic evaluation.",
            citation="Kirillov et al., Panoptic Segmentation, CVPR 2019",
            features=datasets.Features({"predictions": {"segmentation": MAP, "segments_info": [segment]}, "references": REFERENCE}),
        )
