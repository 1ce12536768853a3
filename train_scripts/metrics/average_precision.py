"""Average precision of instance masks by the rules of COCO's evaluation, and of their boundaries as in the Boundary IoU API.

Shapes: C classes; m detections in an image, D of one class, G objects of one class; A = 4 ranges of area (all, small, medium,
large); T = 10 IoU thresholds from .5 to .95; K = 1 or 2 overlap criteria: mask IoU, and the lesser of mask and boundary IoU.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import datasets
import evaluate
import numpy as np
import torch
from pycocotools import mask as coco_mask

from eomt.train_scripts.data.run_lengths import mask_areas, rle_to_edges, segments_to_rles
from eomt.train_scripts.data.samples import Sample
from eomt.train_scripts.metrics.boundaries import boundary
from eomt.train_scripts.metrics.in_memory_metric import INTEGERS, REFERENCE, InMemoryMetric
from eomt.train_scripts.metrics.matching import AREA_RANGES, IOU_THRESHOLDS, match_detections, outside_ranges
from eomt.train_scripts.metrics.precision_recall import average_precision

MAX_DETECTIONS = 100  # of a class in an image


@dataclass(frozen=True)
class _Objects:
    """The objects of an image: run lengths, class indices, pixels, and whether they are crowds; -1 is the class of no pixel."""

    rles: list[dict]
    labels: np.ndarray
    areas: np.ndarray
    crowd: np.ndarray


class AveragePrecision(InMemoryMetric):
    """
    Matches the detections of an image when it is added, and ranks the detections of all images in the end.

    Its `state` is a dict: `objects`, (C, A) int64, the number of objects; `detections`, image_id -> a structured array with a
    row for each detection: `score`, `label`, `matched` and `ignored`, the last two (K, A, T); and with `complete`, `all`, the same
    without a limit.

    Detections of equal score rank by their images' ids, and within an image in the order given. So the result doesn't depend
    on how images were shared out over processes.

    Args:
        num_classes: C.
        boundary: whether boundary AP is computed too.
        complete: whether AP is also given without a limit of detections, for images of more than 100 objects.
        kwargs: `evaluate.Metric`'s.
    """

    def __init__(self, num_classes: int, boundary: bool = False, complete: bool = False, **kwargs):
        self.num_classes, self.criteria = num_classes, 1 + boundary
        self.limits = {"detections": MAX_DETECTIONS} | ({"all": None} if complete else {})
        flags = (self.criteria, len(AREA_RANGES), len(IOU_THRESHOLDS))
        self._detection = np.dtype([("score", "f8"), ("label", "i4"), ("matched", "?", flags), ("ignored", "?", flags)])
        super().__init__(**kwargs)

    def reset(self) -> None:
        self.state = {"objects": np.zeros((self.num_classes, len(AREA_RANGES)), dtype=np.int64)}
        self.state |= {name: {} for name in self.limits}

    def add(self, prediction: Mapping, reference: Sample) -> None:
        """Matches an image's detections. A crowd is no object to detect; detections on it are ignored.

        Args:
            prediction: `rles`, m masks in COCO's compressed run lengths, which may overlap; `scores` and `labels`, (m,) each.
                The 100 detections of highest score of a class count. With `complete` it may have `all` as well, of the same form:
                what counts without a limit, if it isn't these.
            reference: its segments are the objects. Segments without a pixel are left out.

        Raises:
            ValueError: the image was added before, lengths or sizes differ, a class doesn't exist, a score isn't a number, or a
                mask is broken.
        """
        if reference.image_id in self.state["detections"]:
            raise ValueError(
                f"image_id {reference.image_id!r} was added before. Give each image an id of its own, and score it once."
            )
        size = reference.id_map.shape[-2:]
        parts = {"detections": prediction, "all": prediction.get("all", prediction)}
        checked = {name: self._checked(parts[name], size) for name in self.limits}
        objects = self._objects(reference)
        for name, most in self.limits.items():
            self.state[name][reference.image_id] = self._matched(*checked[name], objects, most)
        counted = (objects.labels >= 0) & ~objects.crowd
        np.add.at(self.state["objects"], objects.labels[counted], ~outside_ranges(objects.areas[counted]).T)

    def _objects(self, reference: Sample) -> "_Objects":
        rles = segments_to_rles(reference.id_map, reference.segment_ids.tolist())
        labels, areas = _in_range(reference.class_labels, self.num_classes, "class_labels"), mask_areas(rles)
        return _Objects(rles, np.where(areas > 0, labels, -1), areas, reference.is_crowd.numpy())

    def _matched(
        self, rles: list[dict], scores: np.ndarray, labels: np.ndarray, objects: "_Objects", most: int | None
    ) -> np.ndarray:
        """The rows of an image's m detections, of which the best `most` of a class count."""
        tables = [np.zeros(0, self._detection)]
        for label in np.unique(labels):
            ranked = np.flatnonzero(labels == label)
            ranked = ranked[np.argsort(-scores[ranked], kind="stable")][:most]  # (D,)
            of_class = np.flatnonzero(objects.labels == label)  # (G,)
            areas, crowd = objects.areas[of_class], objects.crowd[of_class]
            detected_rles = [rles[i] for i in ranked]
            table = np.zeros(len(ranked), self._detection)
            table["score"], table["label"] = scores[ranked], label
            criteria = self._ious(detected_rles, [objects.rles[i] for i in of_class], crowd)
            for criterion, ious in enumerate(criteria):
                flags = match_detections(ious, mask_areas(detected_rles), areas, crowd)
                table["matched"][:, criterion], table["ignored"][:, criterion] = flags
            tables.append(table)
        return np.concatenate(tables)

    def merge(self, states: Sequence[dict]) -> None:
        """Joins the detections and adds up the objects of all processes.

        Raises:
            ValueError: an image is in two of them.
        """
        merged = {name: {image: table for state in states for image, table in state[name].items()} for name in self.limits}
        if len(merged["detections"]) < sum(len(state["detections"]) for state in states):
            counts = Counter(image for state in states for image in state["detections"])
            twice = sorted(image for image, count in counts.items() if count > 1)[:10]
            raise ValueError(f"states have the images {twice} twice. Score each image in one process, and give ids of their own.")
        self.state = {"objects": sum(state["objects"] for state in states), **merged}

    def _compute(self) -> dict[str, float | list[float | None]]:
        """
        Returns:
            In percent, means over the classes that have such objects, -1 (as in COCO's evaluation) if none has: `ap` over all
            thresholds, `ap50`, `ap75`, `ap_small`, `ap_medium`, `ap_large`; with boundaries, `boundary_ap` and `boundary_ap50`;
            with `complete`, `ap_all` and `ap50_all`, which are `ap` and `ap50` without a limit of detections.
            `per_class` is a list of C values of `ap`, None for a class without objects.
        """
        precision = self._precision(self.state["detections"])
        result = {"ap": _mean(precision[:, 0, 0]), "ap50": _mean(precision[:, 0, 0, 0]), "ap75": _mean(precision[:, 0, 0, 5])}
        result |= {f"ap_{name}": _mean(precision[:, 0, area]) for area, name in enumerate(AREA_RANGES) if area > 0}
        if self.criteria > 1:
            result |= {"boundary_ap": _mean(precision[:, 1, 0]), "boundary_ap50": _mean(precision[:, 1, 0, 0])}
        if "all" in self.limits:
            every = self._precision(self.state["all"])
            result |= {"ap_all": _mean(every[:, 0, 0]), "ap50_all": _mean(every[:, 0, 0, 0])}
        means = precision[:, 0, 0].mean(1)
        result["per_class"] = [None if np.isnan(mean) else 100 * mean for mean in means.tolist()]
        return result

    def _precision(self, tables: Mapping[str, np.ndarray]) -> np.ndarray:
        """The average precision of each class, criterion, range and threshold, in 0..1: (C, K, A, T), NaN without objects."""
        rows = np.concatenate([np.zeros(0, self._detection), *(tables[image] for image in sorted(tables))])
        rows = rows[np.argsort(-rows["score"], kind="stable")]
        precision = np.full((self.num_classes, self.criteria, len(AREA_RANGES), len(IOU_THRESHOLDS)), np.nan)
        for label, area in np.argwhere(self.state["objects"]):
            of_class = rows[rows["label"] == label]
            matched, counted = of_class["matched"], ~of_class["ignored"]  # (D, K, A, T)
            hits, misses = matched & counted, ~matched & counted
            for k in range(self.criteria):
                for t in range(len(IOU_THRESHOLDS)):
                    precision[label, k, area, t] = average_precision(
                        hits[:, k, area, t], misses[:, k, area, t], self.state["objects"][label, area]
                    )
        return precision

    def _ious(self, detected: list[dict], objects: list[dict], crowd: np.ndarray) -> list[np.ndarray]:
        """The overlaps by each of the K criteria, (D, G).

        Below the lowest threshold an overlap matches nothing, and a boundary can only make it smaller. Crowds have no boundary.
        So boundaries are made only of masks that match an object by mask IoU.
        """
        if not detected or not objects:
            return [np.zeros((len(detected), len(objects)))] * self.criteria
        ious = coco_mask.iou(detected, objects, crowd.astype(np.uint8))
        if self.criteria == 1:
            return [ious]
        lesser, near = ious.copy(), (ious >= IOU_THRESHOLDS[0]) & ~crowd
        rows, columns = np.flatnonzero(near.any(1)), np.flatnonzero(near.any(0))
        if len(rows):
            boundaries = [boundary(detected[i]) for i in rows], [boundary(objects[i]) for i in columns]
            part = np.ix_(rows, columns)
            lesser[part] = np.minimum(ious[part], coco_mask.iou(*boundaries, np.zeros(len(columns), dtype=np.uint8)))
        return [ious, lesser]

    def _checked(self, prediction: Mapping, size: Sequence[int]) -> tuple[list[dict], np.ndarray, np.ndarray]:
        """The m masks, scores and labels of a prediction."""
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
            rle_to_edges(rle, size, f"rles[{index}]")  # only for its checks: pycocotools has none
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
    """In percent, over the classes that have objects, which aren't NaN. -1 if none has."""
    return 100 * float(np.nanmean(precision)) if not np.isnan(precision).all() else -1.0
