"""Mask and class logits -> a class for each pixel, its score, and how sure the model is there.

The work goes through strips of rows: neither the masks of all queries nor the scores of all classes exist at the image's size.

Shapes: Q queries, C classes, k of these classes, h, w pixels of the content, H, W pixels of the target, n rows of a strip.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from eomt.image_processing.bounds import may_win, tile_extremes
from eomt.image_processing.confidence import CONFIDENCES
from eomt.image_processing.sizes import Size
from eomt.image_processing.threads import side_by_side
from eomt.image_processing.upsampling import resize_rows, rows_under

STRIP = 16  # rows of the content computed at a time
CHUNK = 1 << 20  # scores upsampled at a time: so many stay in a processor's cache


@dataclass(frozen=True)
class View:
    """What one model input, the padded image or a window of it, shows of the image's content."""

    mask_logits: torch.Tensor  # (Q, ...) float32
    class_probs: torch.Tensor  # (Q, C), without no-object, whose share goes to no class
    canvas: Size  # of the model input
    rows: tuple[int, int]  # of the content: the first and one past the last
    cols: tuple[int, int]  # the same


@dataclass(frozen=True)
class ViewedImage:
    """An image and its views: one, or one for each window."""

    views: Sequence[View]
    content: Size
    target: Size

    @property
    def num_classes(self) -> int:
        return self.views[0].class_probs.shape[1]


@dataclass(frozen=True)
class Part:
    """The rows of a view that lie in a strip."""

    view: View
    start: int  # of the view's rows
    end: int

    def bounds(self) -> torch.Tensor:
        """(Q, C): upper bounds of what each query adds to each class, in any pixel of these rows.

        Upsampling takes means of logits, so no mask probability here exceeds that of the largest logit which these rows need.
        """
        return self.logits().amax((1, 2)).sigmoid()[:, None] * self.view.class_probs

    def logits(self) -> torch.Tensor:
        """(Q, ...): the rows of the mask logits that these rows depend on."""
        return self.view.mask_logits[:, slice(*self._under())]

    def scores(self, queries: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """(k, n, w): the scores of `classes`, summed over `queries`."""
        width = self.view.cols[1] - self.view.cols[0]
        height, first = self.view.mask_logits.shape[1], self._under()[0]
        masks = resize_rows(self.logits()[queries], self.view.canvas, self.start, self.end, height, first)[:, :, :width].sigmoid()
        return (self.view.class_probs[queries][:, classes].T @ masks.flatten(1)).view(-1, self.end - self.start, width)

    def _under(self) -> tuple[int, int]:
        return rows_under(self.start, self.end, self.view.mask_logits.shape[1], self.view.canvas[0])


def class_scores(image: ViewedImage, start: int, end: int, negligible: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Class scores in a strip: the sum over queries of class probability x mask probability.

    Where several windows show a pixel, its score is their mean.

    Args:
        start, end: rows of the content.
        negligible: queries and classes are left out if all of them together change no score by more than this.

    Returns:
        Scores (k, end - start, w), and the k classes they belong to, (k,). The scores of the other classes are 0.
    """
    spans = [(view, max(start, view.rows[0]), min(end, view.rows[1])) for view in image.views]
    parts = [Part(view, first - view.rows[0], last - view.rows[0]) for view, first, last in spans if first < last]
    bounds = torch.stack([part.bounds() for part in parts])  # (views, Q, C)
    classes = (bounds.sum(1).amax(0) > negligible).nonzero().flatten()  # that reach more than this in some view
    total = torch.zeros(len(classes), end - start, image.content[1], device=bounds.device)
    count = torch.zeros(end - start, image.content[1], device=bounds.device)
    for part, bound in zip(parts, bounds.amax(2), strict=True):
        ordered, order = bound.sort()  # the weakest queries, whose bounds add up to no more than `negligible`, are left out
        top = part.view.rows[0] + part.start - start
        shown = slice(top, top + part.end - part.start), slice(*part.view.cols)
        total[:, *shown] += part.scores(order[ordered.cumsum(0) > negligible], classes)
        count[shown] += 1
    return total.div_(count.clamp_(min=1)), classes


def for_each_tile(
    image: ViewedImage,
    tolerance: float,
    take: Callable[[slice, torch.Tensor, torch.Tensor], None],
    winners_only: bool = False,
) -> None:
    """Calls `take(rows, scores, classes)` for all rows of the target, a few at a time, from several threads.

    Args:
        tolerance: a score may be too low by up to this.
        take: gets rows of the target, scores (k, rows, W), and the k classes they belong to in increasing order, at least one. The
            scores of the other classes are 0.
        winners_only: leaves out classes that aren't the best at any pixel of these rows.
    """
    device = image.views[0].mask_logits.device
    strip = math.ceil(STRIP * image.target[0] / image.content[0])  # rows of the target

    def fill(starts: Sequence[int]) -> None:
        for start in starts:
            end = min(start + strip, image.target[0])
            first, last = rows_under(start, end, image.content[0], image.target[0])
            scores, classes = class_scores(image, first, last, tolerance)
            if not len(classes):
                scores, classes = scores.new_zeros(1, *scores.shape[1:]), classes.new_zeros(1)
            if winners_only:
                chosen = may_win(*tile_extremes(scores, support=2))
                scores, classes = scores[chosen], classes[chosen]
            at_once = max(1, CHUNK // (len(classes) * image.target[1]))
            for top in range(start, end, at_once):
                bottom = min(top + at_once, end)
                take(slice(top, bottom), resize_rows(scores, image.target, top, bottom, image.content[0], first), classes)

    side_by_side(fill, range(0, image.target[0], strip), device)


def best_classes(image: ViewedImage, tolerance: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Class, int64 (H, W), and score, (H, W), of each pixel of the target. A score may be too low by up to `tolerance`.

    Of equal scores the first class wins, as in argmax: class 0 where all are 0.
    """
    device = image.views[0].mask_logits.device
    classes = torch.zeros(image.target, dtype=torch.int64, device=device)
    best = torch.zeros(image.target, device=device)

    def take(rows: slice, scores: torch.Tensor, labels: torch.Tensor) -> None:
        best[rows], where = scores.max(0)
        classes[rows] = labels[where].mul_(best[rows] > 0)

    for_each_tile(image, tolerance, take, winners_only=True)
    return classes, best


def all_scores(image: ViewedImage) -> torch.Tensor:
    """(C, H, W): the score of each class at each pixel of the target."""
    full = torch.zeros(image.num_classes, *image.target, device=image.views[0].mask_logits.device)

    def take(rows: slice, scores: torch.Tensor, classes: torch.Tensor) -> None:
        full[classes, rows] = scores

    for_each_tile(image, 0.0, take)
    return full


def pixel_confidence(image: ViewedImage, name: str) -> torch.Tensor:
    """(H, W): a confidence of `CONFIDENCES` at each pixel of the target, from exact scores."""
    confidence = torch.zeros(image.target, device=image.views[0].mask_logits.device)

    def take(rows: slice, scores: torch.Tensor, classes: torch.Tensor) -> None:
        confidence[rows] = CONFIDENCES[name](scores, image.num_classes)

    for_each_tile(image, 0.0, take)
    return confidence


def segments_of_classes(image: ViewedImage, with_confidence: bool = False) -> dict:
    """The panoptic result of merged windows: one segment a class, since class scores don't separate instances.

    Args:
        with_confidence: whether segments have a `confidence` as well: their score, at most 1.

    Returns:
        `segmentation`, int64 (H, W), and `segments_info`, a list of {id, label_id, score} by increasing class. A segment's score
        is the mean of its class's scores over its pixels.
    """
    classes, best = best_classes(image)
    present, segmentation, areas = classes.unique(return_inverse=True, return_counts=True)
    totals = torch.bincount(segmentation.flatten(), weights=best.flatten())  # in float64
    means = (totals / areas).tolist()
    segments = [
        {"id": i, "label_id": label, "score": round(score, 6), **({"confidence": min(1.0, score)} if with_confidence else {})}
        for i, (label, score) in enumerate(zip(present.tolist(), means, strict=True))
    ]
    return {"segmentation": segmentation, "segments_info": segments}
