"""Mask and class logits -> a class for each pixel.

Works through strips of rows, so that neither the masks of all queries nor the scores of all classes ever exist at the size of
the image.

Shapes: Q queries, C classes, h, w pixels of the content, H, W of the target, n rows of a strip.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from eomt.image_processing.sizes import Size
from eomt.image_processing.upsampling import resize_rows, rows_under

STRIP = 16  # rows of the content
CHUNK = 1 << 20  # scores upsampled at a time, which stay in a processor's cache


@dataclass(frozen=True)
class View:
    """What one model input, padded or a window, shows of an image's content."""

    mask_logits: torch.Tensor  # (Q, ...) float32
    class_probs: torch.Tensor  # (Q, C), without no-object, whose share goes to no class
    canvas: Size
    rows: tuple[int, int]  # of the content: the first and one past the last
    cols: tuple[int, int]


@dataclass(frozen=True)
class ViewedImage:
    """An image as its views show it."""

    views: Sequence[View]
    content: Size
    target: Size

    @property
    def num_classes(self) -> int:
        return self.views[0].class_probs.shape[1]


@dataclass(frozen=True)
class Part:
    """The rows `start` to `end` of a view, and an upper bound of what its queries and classes reach there."""

    view: View
    start: int
    end: int

    def bounds(self) -> torch.Tensor:
        """(Q, C): upsampling takes means, so no probability exceeds the largest near by."""
        return self.logits().amax((1, 2)).sigmoid()[:, None] * self.view.class_probs

    def logits(self) -> torch.Tensor:
        """(Q, ...): the rows of mask logits that are needed."""
        return self.view.mask_logits[:, slice(*self._under())]

    def scores(self, queries: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """(k, n, w) scores of k `classes`, from some `queries`."""
        width = self.view.cols[1] - self.view.cols[0]
        height, first = self.view.mask_logits.shape[1], self._under()[0]
        masks = resize_rows(self.logits()[queries], self.view.canvas, self.start, self.end, height, first)[:, :, :width].sigmoid()
        return (self.view.class_probs[queries][:, classes].T @ masks.flatten(1)).view(-1, self.end - self.start, width)

    def _under(self) -> tuple[int, int]:
        return rows_under(self.start, self.end, self.view.mask_logits.shape[1], self.view.canvas[0])


def class_scores(image: ViewedImage, start: int, end: int, negligible: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """The sum over queries of class probability x mask probability, the mean of the views that show a pixel.

    Args:
        start, end: rows of the content.
        negligible: queries and classes are left out that can't change a score by more than this, all queries together.

    Returns:
        Scores (k, end - start, w), and the k classes that they are of; the others' are 0.
    """
    spans = [(view, max(start, view.rows[0]), min(end, view.rows[1])) for view in image.views]
    parts = [Part(view, first - view.rows[0], last - view.rows[0]) for view, first, last in spans if first < last]
    bounds = torch.stack([part.bounds() for part in parts])  # (views, Q, C)
    classes = (bounds.sum(1).amax(0) > negligible).nonzero().flatten()
    total = torch.zeros(len(classes), end - start, image.content[1], device=bounds.device)
    count = torch.zeros(end - start, image.content[1], device=bounds.device)
    for part, bound in zip(parts, bounds.amax(2), strict=True):
        ordered, order = bound.sort()
        top = part.view.rows[0] + part.start - start
        shown = slice(top, top + part.end - part.start), slice(*part.view.cols)
        total[:, *shown] += part.scores(order[ordered.cumsum(0) > negligible], classes)
        count[shown] += 1
    return total.div_(count.clamp_(min=1)), classes


def best_classes(image: ViewedImage, tolerance: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Class, int64 (H, W), and score of each pixel of the target. Scores may be too low by `tolerance`."""
    device = image.views[0].mask_logits.device
    classes = torch.zeros(image.target, dtype=torch.int64, device=device)
    best = torch.zeros(image.target, device=device)
    strip = math.ceil(STRIP * image.target[0] / image.content[0])
    for start in range(0, image.target[0], strip):
        end = min(start + strip, image.target[0])
        first, last = rows_under(start, end, image.content[0], image.target[0])
        scores, labels = class_scores(image, first, last, tolerance)
        if not len(labels):
            continue  # nothing found in these rows: class 0 with score 0, as the largest of zeros
        at_once = max(1, CHUNK // ((end - start) * image.target[1]))
        for planes, chunk in zip(scores.split(at_once), labels.split(at_once), strict=True):
            largest, where = resize_rows(planes, image.target, start, end, image.content[0], first).max(0)
            better = largest > best[start:end]
            torch.where(better, chunk[where], classes[start:end], out=classes[start:end])
            torch.maximum(largest, best[start:end], out=best[start:end])
    return classes, best


def all_scores(image: ViewedImage) -> torch.Tensor:
    """(C, H, W), the score of each class at each pixel of the target."""
    full = torch.zeros(image.num_classes, *image.content, device=image.views[0].mask_logits.device)
    for start in range(0, image.content[0], STRIP):
        end = min(start + STRIP, image.content[0])
        scores, classes = class_scores(image, start, end)
        full[classes, start:end] = scores
    return resize_rows(full, image.target, 0, image.target[0])


def segments_of_classes(image: ViewedImage) -> dict:
    """The panoptic result of merged windows: one segment a class, as scores alone can't tell instances apart.

    Returns:
        `segmentation`, int64 (H, W), and `segments_info`, {id, label_id, score} by class, where a score is the mean of
        the class scores over the segment.
    """
    classes, best = best_classes(image)
    present, segmentation, areas = classes.unique(return_inverse=True, return_counts=True)
    totals = torch.bincount(segmentation.flatten(), weights=best.flatten())  # in float64
    means = (totals / areas).tolist()
    segments = [
        {"id": i, "label_id": label, "score": round(score, 6)}
        for i, (label, score) in enumerate(zip(present.tolist(), means, strict=True))
    ]
    return {"segmentation": segmentation, "segments_info": segments}
