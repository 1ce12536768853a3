"""Mask and class logits of one image -> instances, which may overlap.

Shapes: Q queries, C classes, n instances, H, W pixels of the target.
"""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch

from eomt.image_processing.sizes import Layout, Size
from eomt.image_processing.threads import side_by_side
from eomt.image_processing.upsampling import rows_over, upsampled_rows


@dataclass(frozen=True)
class Mask:
    """A query's mask, cut to its box: most masks cover a small part of the image, and many are kept at a time."""

    box: tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels, x1 and y1 one past the last
    pixels: torch.Tensor  # bool (y1 - y0, x1 - x0)
    score: float  # mean probability inside

    target: tuple[int, int]  # (H, W)

    def paint(self, canvas: torch.Tensor, value: float) -> None:
        """Writes `value` into (H, W) `canvas` where the mask is."""
        x0, y0, x1, y1 = self.box
        canvas[y0:y1, x0:x1][self.pixels] = value

    def rle(self) -> dict:
        """COCO's compressed run lengths, {size, counts}, as pycocotools takes them."""
        from pycocotools import mask as coco_mask  # here, since a forward pass and the other results do without it

        x0, y0, x1, y1 = self.box
        plane = np.zeros(self.target, dtype=np.uint8, order="F")  # COCO counts down the columns
        plane[y0:y1, x0:x1] = self.pixels.cpu().numpy()
        return coco_mask.encode(plane)

    def runs(self) -> list[int]:
        """Start, length, start, length ..., row by row, as in transformers' `return_coco_annotation`."""
        plane = torch.zeros(self.target, dtype=torch.bool, device=self.pixels.device)
        self.paint(plane, True)
        return run_lengths(plane)


@dataclass(frozen=True)
class Instance:
    """One instance of an image."""

    label_id: int
    score: float  # class probability x mask score
    box: tuple[int, int, int, int]
    mask: Any  # a `Mask`, or what `keep` made of it


def find_instances(
    mask_logits: torch.Tensor,
    class_logits: torch.Tensor,
    layout: Layout,
    target: Size,
    threshold: float,
    mask_threshold: float,
    top_k: int | None,
    keep: Callable[[Mask], Any] = lambda mask: mask,
    beyond: float | None = None,
    stuff_classes: Collection[int] = (),
) -> list[Instance]:
    """The instances of an image whose score is at least `threshold`.

    Args:
        mask_logits: (Q, h, w) float32.
        class_logits: (Q, C + 1), no-object last.
        layout: how the image lies in the model's input.
        target: (H, W).
        mask_threshold: a pixel belongs to a mask when its probability is above this.
        top_k: the best so many of all Q x C pairs are candidates (the official code's 100), ordered by score. None:
            each query with its best class, in the queries' order, as in transformers.
        keep: is called with each mask in turn and returns what is kept of it. The masks of a large image don't all fit in memory.
        beyond: the least score of further instances, of pairs beyond the best `top_k`; None: there are none.
        stuff_classes: classes without instances, which are no candidates.

    Raises:
        ValueError: `mask_threshold` is not between 0 and 1, `top_k` is below 1, or `beyond` is given without it.
    """
    if not 0 < mask_threshold < 1:
        raise ValueError(f"mask_threshold is {mask_threshold}, but must lie between 0 and 1, both excluded.")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k is {top_k}, but must be at least 1, or None for one class a query.")
    if beyond is not None and top_k is None:
        raise ValueError(f"beyond is {beyond}, but goes beyond the best top_k, which is None. Give both, or neither.")
    class_scores, labels, queries = _candidates(class_logits.softmax(-1)[:, :-1], top_k, beyond, stuff_classes)
    further = torch.arange(len(queries), device=queries.device) >= (len(queries) if top_k is None else top_k)
    level = math.log(mask_threshold / (1 - mask_threshold))  # logits above it have probabilities above the threshold
    # Upsampling is most of the work, so candidates that can't pass are dropped before it: a score is at most the class score, since
    # a mask's score is at most 1; and a mask is empty if no logit is above the level, since upsampling takes means of logits.
    possible = (class_scores >= threshold) & (mask_logits.amax((1, 2)) > level)[queries]
    class_scores, labels, queries, further = class_scores[possible], labels[possible], queries[possible], further[possible]
    unique, mask_of = queries.unique(return_inverse=True)  # a query may be a candidate for several classes

    def masks_of(run: torch.Tensor) -> list[tuple[float, tuple[int, int, int, int], Any] | None]:
        """Of each query (score, box, what is kept), or None when its mask is empty."""
        masks = (_cut_mask(logits, layout, target, level) for logits in run)
        return [None if mask is None else (mask.score, mask.box, keep(mask)) for mask in masks]

    masks = list(chain.from_iterable(side_by_side(masks_of, mask_logits[unique], mask_logits.device)))
    instances = []
    columns = (column.tolist() for column in (class_scores, labels, mask_of, further))
    for class_score, label, m, is_further in zip(*columns, strict=True):
        if masks[m] is not None:
            mask_score, box, kept = masks[m]
            if class_score * mask_score >= (max(threshold, beyond) if is_further else threshold):
                instances.append(Instance(label, class_score * mask_score, box, kept))
    return instances if top_k is None else sorted(instances, key=lambda instance: -instance.score)


def _candidates(
    probs: torch.Tensor, top_k: int | None, beyond: float | None, stuff_classes: Collection[int]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(Q, C) class probabilities -> class score, class and query of each candidate, those beyond the best `top_k` last."""
    kept = [label for label in range(probs.shape[1]) if label not in stuff_classes]
    things = torch.tensor(kept, dtype=torch.int64, device=probs.device)
    if top_k is None:
        scores, labels = probs.max(-1)
        queries = torch.isin(labels, things).nonzero().flatten()
        return scores[queries], labels[queries], queries
    probs = probs[:, things]
    scores, pairs = probs.flatten().topk(min(top_k, probs.numel()))
    if beyond is not None:
        further = probs.flatten() >= beyond
        further[pairs] = False
        pairs = torch.cat([pairs, further.nonzero().flatten()])
        scores = probs.flatten()[pairs]
    return scores, things[pairs % probs.shape[1]], pairs // probs.shape[1]


def _cut_mask(mask_logits: torch.Tensor, layout: Layout, target: Size, level: float) -> Mask | None:
    """(h, w) logits, of which one is above `level` -> the mask above it, or None when no pixel of the image is."""
    high = (mask_logits > level).any(1).nonzero().flatten()
    rows = high[0].item(), high[-1].item() + 1
    rows = rows_over(*rows, len(mask_logits), layout.canvas[0])
    start, end = rows_over(*rows, layout.content[0], target[0])  # no other row of the image has a pixel of the mask
    if start >= end:
        return None
    logits = upsampled_rows(mask_logits[None], layout, target, start, end)[0]
    inside = logits > level
    rows = inside.any(1).nonzero().flatten()
    if len(rows) == 0:
        return None
    y0, y1 = rows[0].item(), rows[-1].item() + 1
    cols = inside[y0:y1].any(0).nonzero().flatten()
    x0, x1 = cols[0].item(), cols[-1].item() + 1
    pixels = inside[y0:y1, x0:x1].clone()  # a view would keep the whole rows
    probs = logits[y0:y1, x0:x1].sigmoid() * pixels  # the mean probability inside is the mask's score
    return Mask((x0, start + y0, x1, start + y1), pixels, (probs.sum() / (pixels.sum() + 1e-6)).item(), target)


def segments_info(instances: list[Instance], exact: bool) -> list[dict]:
    """[{id, label_id, score, bbox}], ids counting from 0; bbox is [x0, y0, x1, y1] in pixels, a score `exact` or to six digits."""
    scores = [instance.score if exact else round(instance.score, 6) for instance in instances]
    return [
        {"id": i, "label_id": instance.label_id, "score": score, "bbox": list(instance.box)}
        for i, (instance, score) in enumerate(zip(instances, scores, strict=True))
    ]


def id_map(instances: list[Instance], target: tuple[int, int], device: torch.device) -> torch.Tensor:
    """(H, W) ids, float32 as in transformers, -1 where there is none. Of overlapping instances the one of the best score shows."""
    painted = torch.full(target, -1.0, device=device)
    for i in sorted(range(len(instances)), key=lambda i: instances[i].score):  # a later one covers an earlier one
        instances[i].mask.paint(painted, i)
    return painted


def binary_maps(instances: list[Instance], target: tuple[int, int], device: torch.device) -> torch.Tensor:
    """(n, H, W) bool, one mask an instance, overlaps kept."""
    maps = torch.zeros(len(instances), *target, dtype=torch.bool, device=device)
    for plane, instance in zip(maps, instances, strict=True):
        instance.mask.paint(plane, True)
    return maps


def run_lengths(mask: torch.Tensor) -> list[int]:
    """A bool (H, W) mask as start, length, start, length ..., row by row. The first pixel is number 1.

    The format is that of transformers' `return_coco_annotation`. pycocotools counts down the columns instead: see [`Mask.rle`].
    """
    # A run begins where a pixel is 1 more than the one before (0 before the first) and ends, exclusively, where it is 1 less;
    # after the last pixel come zeros, so that a run which reaches it ends there.
    edges = torch.diff(mask.flatten().to(torch.int8), prepend=mask.new_zeros(1, dtype=torch.int8))
    edges = torch.cat([edges, -mask.flatten()[-1:].to(torch.int8)])
    starts, ends = (edges == 1).nonzero().flatten() + 1, (edges == -1).nonzero().flatten() + 1
    return torch.stack([starts, ends - starts], 1).flatten().tolist()
