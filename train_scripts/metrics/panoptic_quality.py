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

ONE = 1 << 40  # an IoU of 1: sums of whole steps of 2^-40 are exact in any order, up to 8 million matches a class


class PanopticQuality(InMemoryMetric):
    """
    Adds up images and gives PQ, SQ and RQ.

    Args:
        things: for each class, whether it is a thing.
        kwargs: `evaluate.Metric`'s.
    """

    def __init__(self, things: Sequence[bool], **kwargs):
        self.things = torch.tensor(things, dtype=torch.bool)
        super().__init__(**kwargs)

    def reset(self) -> None:
        self.state = torch.zeros(len(self.things), 4, dtype=torch.int64)  # (C, 4): IoUs / ONE, true positives, false ones, misses

    def add(self, prediction: Mapping, reference: Sample) -> None:
        """Scores an image.

        A predicted and a true segment of one class match when their IoU exceeds .5; void pixels don't count in it, and at most
        one match is possible. A prediction that lies mostly on void and on crowd of its class is no false positive; crowd is
        never a miss. (Of several crowds of a class in an image, which COCO doesn't have, all excuse; in its own evaluation one.)

        Args:
            prediction: `segmentation`, (H, W) ids, of which those that `segments_info` lacks, -1 for one, are void;
                `segments_info`, m entries with `id` and `label_id`.
            reference: `id_map`, `segment_ids`, `class_labels` and `is_crowd` are read.

        Raises:
            ValueError: the maps differ in size, a class doesn't exist, or ids are negative or come twice.
        """
        segments = prediction["segments_info"]
        predicted = self._classes([segment["label_id"] for segment in segments], "segments_info")  # (m,)
        true = self._classes(reference.class_labels.tolist(), "class_labels")  # (n,)
        crowd = reference.is_crowd.numpy()
        overlaps = count_overlaps(
            reference.id_map,
            reference.segment_ids.tolist(),
            torch.as_tensor(prediction["segmentation"]),
            [segment["id"] for segment in segments],
        )
        areas, predicted_areas = overlaps.sum(1)[1:], overlaps.sum(0)[1:]
        on_void, overlaps = overlaps[0, 1:], overlaps[1:, 1:]  # (m,), (n, m)

        same_class = true[:, None] == predicted
        union = areas[:, None] + predicted_areas - overlaps - on_void
        iou = overlaps / np.maximum(union, 1)
        match = same_class & ~crowd[:, None] & (iou > 0.5)
        on_crowd = (overlaps * (same_class & crowd[:, None])).sum(0)
        excused = on_void + on_crowd > 0.5 * predicted_areas
        state = self.state.numpy()
        np.add.at(state, (true, 0), np.rint(iou * match * ONE).astype(np.int64).sum(1))
        np.add.at(state, (true, 1), match.any(1))
        np.add.at(state, (predicted, 2), ~match.any(0) & ~excused & (predicted_areas > 0))
        np.add.at(state, (true, 3), ~match.any(1) & ~crowd & (areas > 0))

    def merge(self, states: Sequence[Tensor]) -> None:
        """Adds up the (C, 4) states of all processes, exactly, since they are whole numbers."""
        self.state = torch.stack(list(states)).sum(0)

    def _compute(self) -> dict[str, float | list[dict[str, float] | None]]:
        """
        Returns:
            In percent: `pq`, `sq`, `rq`, means over the classes that occur in truth or prediction (0 if none does), the same
            with `_things` and `_stuff` where there are such classes, and `per_class`, a list of C dicts of `pq`, `sq`, `rq`,
            None for a class that doesn't occur.
        """
        iou, hits, false, missed = self.state.double().unbind(1)
        iou = iou / ONE
        occurs = hits + false + missed > 0
        quality = {
            "pq": 100 * iou / (hits + 0.5 * false + 0.5 * missed).clamp(min=0.5),
            "sq": 100 * iou / hits.clamp(min=1),
            "rq": 100 * hits / (hits + 0.5 * false + 0.5 * missed).clamp(min=0.5),
        }
        result = {}
        for suffix, group in (("", torch.ones_like(self.things)), ("_things", self.things), ("_stuff", ~self.things)):
            counted = group & occurs
            if group.any():
                means = {name: values[counted].mean().item() if counted.any() else 0.0 for name, values in quality.items()}
                result |= {f"{name}{suffix}": mean for name, mean in means.items()}
        table = zip(*(quality[name].tolist() for name in ("pq", "sq", "rq")), strict=True)
        rows = [dict(zip(("pq", "sq", "rq"), row, strict=True)) for row in table]
        result["per_class"] = [row if seen else None for row, seen in zip(rows, occurs.tolist(), strict=True)]
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
