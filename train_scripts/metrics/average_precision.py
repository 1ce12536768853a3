"""Average precision of instance masks by the rules of COCO's evaluation, and of their boundaries as in the Boundary IoU API.

Shapes: C classes, m detections in an image, A = 4 ranges of area (all, small, medium, large), T = 10 IoU thresholds from .5 to
.95, K criteria of a match: the IoU of masks and, if asked for, the lesser of mask and boundary IoU.
"""

from collections.abc import Mapping, Sequence

import datasets
import evaluate
import numpy as np
import torch
from pycocotools import mask as coco_mask

from eomt.train_scripts.data.run_lengths import rle_to_edges, segments_to_rles
from eomt.train_scripts.data.samples import Sample
from eomt.train_scripts.metrics.boundaries import boundary
from eomt.train_scripts.metrics.in_memory_metric import INTEGERS, REFERENCE, InMemoryMetric
from eomt.train_scripts.metrics.matching import RANGES, THRESHOLDS, match_detections, outside
from eomt.train_scripts.metrics.precision import average_precision

MAX_DETECTIONS = 100  # of a class in an image


class AveragePrecision(InMemoryMetric):
    """
    Matches detections as images are added and ranks them all in the end.

    Its `state` is a dict: `objects`, (C, A) int64, how many there are to find; `detections`, image_id -> a table of one row a
    detection: score, label, matched and ignored (K, A, T). Detections of equal score rank in the order of their images'
    ids, and in an image in the order given, so that the result doesn't depend on which process saw what.

    Args:
        num_classes: C.
        boundary: whether to give boundary AP too.
        kwargs: `evaluate.Metric`'s.
    """

    def __init__(self, num_classes: int, boundary: bool = False, **kwargs):
        self.num_classes, self.criteria = num_classes, 1 + boundary
        flags = (self.criteria, len(RANGES), len(THRESHOLDS))
        self._row = np.dtype([("score", "f8"), ("label", "i4"), ("matched", "?", flags), ("ignored", "?", flags)])
        super().__init__(**kwargs)

    def reset(self) -> None:
        self.state = {"objects": np.zeros((self.num_classes, len(RANGES)), dtype=np.int64), "detections": {}}

    def add(self, prediction: Mapping, reference: Sample) -> None:
        """Matches an image's detections. Crowds need no detection, and excuse the detections on them.

        Args:
            prediction: `rles`, m masks in COCO's compressed run lengths, which may overlap; `scores` and `labels`, (m,) each.
                The best 100 of a class count.
            reference: its segments are the objects; those without a pixel are left out.

        Raises:
            ValueError: the image was added before, lengths or sizes differ, a class doesn't exist, a score isn't a number, or a
                mask is broken.
        """
        if reference.image_id in self.state["detections"]:
            raise ValueError(
                f"image_id {reference.image_id!r} was added before. Give each image an id of its own, and score it once."
            )
        rles, scores, labels = self._detections(prediction, reference.id_map.shape[-2:])
        true_rles = segments_to_rles(reference.id_map, reference.segment_ids.tolist())
        true_labels = _in_range(reference.class_labels, self.num_classes, "class_labels")
        true_areas, crowd = coco_mask.area(true_rles), reference.is_crowd.numpy()
        true_labels = np.where(true_areas > 0, true_labels, -1)

        tables = [np.zeros(0, self._row)]
        for label in np.unique(labels):
            chosen = np.flatnonzero(labels == label)
            chosen = chosen[np.argsort(-scores[chosen], kind="stable")][:MAX_DETECTIONS]
            true = np.flatnonzero(true_labels == label)
            found_rles = [rles[i] for i in chosen]
            table = np.zeros(len(chosen), self._row)
            table["score"], table["label"] = scores[chosen], label
            for criterion, ious in enumerate(self._ious(found_rles, [true_rles[i] for i in true], crowd[true])):
                flags = match_detections(ious, coco_mask.area(found_rles), true_areas[true], crowd[true])
                table["matched"][:, criterion], table["ignored"][:, criterion] = flags
            tables.append(table)
        self.state["detections"][reference.image_id] = np.concatenate(tables)
        objects = (true_labels >= 0) & ~crowd
        np.add.at(self.state["objects"], true_labels[objects], ~outside(true_areas[objects]).T)

    def merge(self, states: Sequence[dict]) -> None:
        """Joins the tables of all processes.

        Raises:
            ValueError: an image is in two of them.
        """
        joint = {image: rows for state in states for image, rows in state["detections"].items()}
        if len(joint) < sum(len(state["detections"]) for state in states):
            images = [image for state in states for image in state["detections"]]
            twice = sorted({image for image in images if images.count(image) > 1})[:10]
            raise ValueError(f"states have the images {twice} twice. Score each image in one process, and give ids of their own.")
        self.state = {"objects": sum(state["objects"] for state in states), "detections": joint}

    def _compute(self) -> dict[str, float | list[float | None]]:
        """
        Returns:
            In percent, means over the classes that have such objects: `ap` over all thresholds, `ap50`, `ap75`, `ap_small`,
            `ap_medium`, `ap_large`, and -1 (as in COCO's evaluation) where no class has; `per_class`, a list of C values of
            `ap`, None for a class without objects. With boundaries also `boundary_ap` and `boundary_ap50`.
        """
        tables = self.state["detections"]
        rows = np.concatenate([np.zeros(0, self._row), *(tables[image] for image in sorted(tables))])
        rows = rows[np.argsort(-rows["score"], kind="stable")]
        precision = np.full((self.num_classes, self.criteria, len(RANGES), len(THRESHOLDS)), np.nan)
        for label, area in np.argwhere(self.state["objects"]):
            of_class = rows[rows["label"] == label]
            hits, misses = of_class["matched"] & ~of_class["ignored"], ~of_class["matched"] & ~of_class["ignored"]  # (D, K, A, T)
            for k in range(self.criteria):
                for t in range(len(THRESHOLDS)):
                    precision[label, k, area, t] = average_precision(
                        hits[:, k, area, t], misses[:, k, area, t], self.state["objects"][label, area]
                    )
        result = {"ap": _mean(precision[:, 0, 0]), "ap50": _mean(precision[:, 0, 0, 0]), "ap75": _mean(precision[:, 0, 0, 5])}
        result |= {f"ap_{name}": _mean(precision[:, 0, area]) for area, name in enumerate(RANGES) if area > 0}
        if self.criteria > 1:
            result |= {"boundary_ap": _mean(precision[:, 1, 0]), "boundary_ap50": _mean(precision[:, 1, 0, 0])}
        means = precision[:, 0, 0].mean(1)
        result["per_class"] = [None if np.isnan(mean) else 100 * mean for mean in means.tolist()]
        return result

    def _ious(self, detected: list[dict], true: list[dict], crowd: np.ndarray) -> list[np.ndarray]:
        """For each criterion, (D, G). Boundaries are made only where masks match, since elsewhere they change nothing."""
        if not detected or not true:
            return [np.zeros((len(detected), len(true)))] * self.criteria
        ious = coco_mask.iou(detected, true, crowd.astype(np.uint8))
        if self.criteria == 1:
            return [ious]
        lesser, near = ious.copy(), (ious >= THRESHOLDS[0]) & ~crowd
        rows, columns = np.flatnonzero(near.any(1)), np.flatnonzero(near.any(0))
        if len(rows):
            boundaries = [boundary(detected[i]) for i in rows], [boundary(true[i]) for i in columns]
            part = np.ix_(rows, columns)
            lesser[part] = np.minimum(ious[part], coco_mask.iou(*boundaries, np.zeros(len(columns), dtype=np.uint8)))
        return [ious, lesser]

    def _detections(self, prediction: Mapping, size: Sequence[int]) -> tuple[list[dict], np.ndarray, np.ndarray]:
        rles = list(prediction["rles"])
        scores = torch.as_tensor(prediction["scores"]).double().cpu().numpy()
        labels = _in_range(torch.as_tensor(prediction["labels"]), self.num_classes, "labels")
        if scores.shape != (len(rles),) or labels.shape != (len(rles),):
            raise ValueError(
                f"rles has {len(rles)} entries, but scores the shape {scores.shape} and labels {labels.shape}. Give one of each "
                "a detection."
            )
        if np.isnan(scores).any():
            raise ValueError(f"scores has NaN at {np.flatnonzero(np.isnan(scores))[:10].tolist()}. Give numbers.")
        for index, rle in enumerate(rles):
            rle_to_edges(rle, size, f"rles[{index}]")
        return rles, scores, labels

    def _info(self) -> evaluate.MetricInfo:
        rle = {"size": INTEGERS, "counts": datasets.Value("binary")}
        detections = {"rles": [rle], "scores": datasets.List(datasets.Value("float64")), "labels": INTEGERS}
        return evaluate.MetricInfo(
            description="Average precision of instance masks by the rules of COCO's evaluation.",
            citation="Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014",
            features=datasets.Features({"predictions": detections, "references": REFERENCE}),
        )


def _in_range(labels: torch.Tensor, num_classes: int, name: str) -> np.ndarray:
    if wrong := sorted({label for label in labels.tolist() if not 0 <= label < num_classes}):
        raise ValueError(f"{name} has the classes {wrong}; allowed are 0..{num_classes - 1}, by num_classes.")
    return labels.cpu().numpy().astype(np.int64)


def _mean(precision: np.ndarray) -> float:
    """In percent, over classes that have objects; -1 if none has."""
    return 100 * float(np.nanmean(precision)) if not np.isnan(precision).all() else -1.0
