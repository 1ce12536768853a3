"""Mask and class logits of one image -> panoptic segments.

Bit for bit what transformers computes, in another order of work: queries that the class score drops are never upsampled,
the others one at a time, with a running arg-max.

Shapes: Q queries, C classes, n confident queries, H, W pixels of the target.
"""

from collections.abc import Collection

import torch

from eomt.image_processing.sizes import Layout, Size
from eomt.image_processing.upsampling import upsampled_masks

ROWS = 256  # worked on at a time: of a large image, what is made on the way takes more memory than the result


def panoptic_segmentation(
    mask_logits: torch.Tensor,
    class_logits: torch.Tensor,
    layout: Layout,
    target: Size,
    threshold: float,
    mask_threshold: float,
    overlap_mask_area_threshold: float,
    stuff_classes: Collection[int],
) -> dict:
    """Each pixel goes to the confident query with the largest score x mask probability.

    Args:
        mask_logits: (Q, h, w) float32.
        class_logits: (Q, C + 1), no-object last.
        threshold: a query counts when its best class is a real one and its probability above this.
        mask_threshold: a pixel becomes void when its query's mask probability is below this.
        overlap_mask_area_threshold: a query is dropped when it wins this fraction or less of its own mask's area.
        stuff_classes: classes of which an image has one segment at most.

    Returns:
        `segmentation`, int64 (H, W) of segment ids, -1 is void, and `segments_info`, a list of {id, label_id, score}.
    """
    scores, labels = class_logits.softmax(-1).max(-1)  # (Q,)
    confident = (labels != class_logits.shape[-1] - 1) & (scores > threshold)
    scores, labels = scores[confident], labels[confident]
    if len(scores) == 0:
        return {"segmentation": torch.full(target, -1, device=mask_logits.device), "segments_info": []}

    winners, mask_areas = _winners(mask_logits[confident], scores, layout, target, mask_threshold)
    areas = torch.bincount(winners.flatten(), minlength=2 * len(scores)).view(-1, 2)  # (n, 2): outside, inside its mask
    ratios = areas.sum(1) / mask_areas
    exists = (areas[:, 1] > 0) & (mask_areas > 0)
    segment_of_query, segments = _number_segments(
        labels.tolist(), scores.tolist(), ratios.tolist(), exists.tolist(), overlap_mask_area_threshold, stuff_classes
    )
    table = torch.full((2 * len(scores),), -1, device=winners.device)
    table[1::2] = torch.tensor(segment_of_query, device=winners.device)
    segmentation = torch.empty(target, dtype=torch.int64, device=winners.device)
    for rows, ids in zip(winners.split(ROWS), segmentation.split(ROWS), strict=True):
        ids.copy_(table[rows.long()])
    return {"segmentation": segmentation, "segments_info": segments}


def _winners(
    mask_logits: torch.Tensor, scores: torch.Tensor, layout: Layout, target: Size, mask_threshold: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """2 k + (pixel is inside the mask of k) for the query k that wins it, int16 (H, W), and the masks' areas, (n,)."""
    best = torch.full(target, -1.0, device=mask_logits.device)
    winners = torch.zeros(target, dtype=torch.int16, device=mask_logits.device)
    planes = upsampled_masks(mask_logits, layout, target)
    areas = [_compete(next(planes), k, score, best, winners, mask_threshold) for k, score in enumerate(scores)]
    return winners, torch.stack(areas)


def _compete(
    logits: torch.Tensor, k: int, score: torch.Tensor, best: torch.Tensor, winners: torch.Tensor, mask_threshold: float
) -> torch.Tensor:
    """Enters query k with its (H, W) `logits`, which are used up, into `best` and `winners`; returns its mask's area.

    A function of its own, so that its plane is gone when the next one is made.
    """
    area = torch.zeros((), dtype=torch.int64, device=logits.device)
    for plane, leaders, holders in zip(logits.split(ROWS), best.split(ROWS), winners.split(ROWS), strict=True):
        probs = plane.sigmoid_()
        inside = probs >= mask_threshold
        area += inside.sum()
        weighted = probs.mul_(score)
        better = weighted > leaders  # strictly: of equals the first wins, as in argmax
        torch.maximum(leaders, weighted, out=leaders)
        torch.where(better, inside.to(torch.int16).add_(2 * k), holders, out=holders)
    return area


def _number_segments(
    labels: list[int],
    scores: list[float],
    ratios: list[float],
    exists: list[bool],
    overlap_mask_area_threshold: float,
    stuff_classes: Collection[int],
) -> tuple[list[int], list[dict]]:
    """The segment id of each confident query (-1: none), and the segments; stuff of one class shares the first's id."""
    segment_of_query, segments, stuff_ids = [], [], {}
    for label, score, ratio, there in zip(labels, scores, ratios, exists, strict=True):
        if not (there and ratio > overlap_mask_area_threshold):
            segment_of_query.append(-1)
        elif label in stuff_ids:
            segment_of_query.append(stuff_ids[label])
        else:
            segment_of_query.append(len(segments))
            if label in stuff_classes:
                stuff_ids[label] = len(segments)
            segments.append({"id": len(segments), "label_id": label, "score": round(score, 6)})
    return segment_of_query, segments
