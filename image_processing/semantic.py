"""Mask and class logits -> a class for each pixel.

The work goes through strips of rows: neither the masks of all queries nor the scores of all classes exist at the image's size.

Shapes: Q queries, C classes, k of these classes, h, w pixels of the content, H, W pixels of the target, n rows of a strip.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from eomt.image_processing.sizes import Size
from eomt.image_processing.threads import one_thread, side_by_side
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


def best_classes(image: ViewedImage, tolerance: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Class, int64 (H, W), and score, (H, W), of each pixel of the target. A score may be too low by up to `tolerance`.

    A running arg-max over chunks of classes: `best` and `classes` hold the result over the classes before. Classes come in
    increasing order and replace only lower scores, so that of equals the first wins, as in argmax.
    """
    device = image.views[0].mask_logits.device
    classes = torch.zeros(image.target, dtype=torch.int64, device=device)
    best = torch.zeros(image.target, device=device)
    strip = math.ceil(STRIP * image.target[0] / image.content[0])  # rows of the target

    def fill(starts: Sequence[int]) -> None:
        for start in starts:
            end = min(start + strip, image.target[0])
            first, last = rows_under(start, end, image.content[0], image.target[0])
            scores, labels = class_scores(image, first, last, tolerance)
            if not len(labels):
                continue  # all scores are 0: class 0 stays, as the first of equals
            at_once = max(1, CHUNK // ((end - start) * image.target[1]))
            for planes, chunk in zip(scores.split(at_once), labels.split(at_once), strict=True):
                largest, where = resize_rows(planes, image.target, start, end, image.content[0], first).max(0)
                better = largest > best[start:end]
                torch.where(better, chunk[where], classes[start:end], out=classes[start:end])
                torch.maximum(largest, best[start:end], out=best[start:end])

    side_by_side(fill, range(0, image.target[0], strip), device)
    return classes, best


@one_thread()
def all_scores(image: ViewedImage) -> torch.Tensor:
    """(C, H, W): the score of each class at each pixel of the target."""
    full = torch.zeros(image.num_classes, *image.content, device=image.views[0].mask_logits.device)
    for start in range(0, image.content[0], STRIP):
        end = min(start + STRIP, image.content[0])
        scores, classes = class_scores(image, start, end)
        full[classes, start:end] = scores
    return resize_rows(full, image.target, 0, image.target[0])


def segments_of_classes(image: ViewedImage) -> dict:
    """The panoptic result of merged windows: one segment a class, since class scores don't separate instances.

    Returns:
        `segmentation`, int64 (H, W), and `segments_info`, a list of {id, label_id, score} by increasing class. A segment's score
        is the mean of its class's scores over its pixels.
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
