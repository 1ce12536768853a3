"""Mask and class logits of one image -> panoptic segments.

The result is that of transformers, up to rounding. The order of work differs: a query whose class score is too low is never
upsampled. The others are upsampled in strips of rows, and there only those that may win a pixel or whose mask has a border.

Shapes: Q queries, C classes, n confident queries, k of these, h, w mask logits, H, W pixels of the target, r rows of a strip.
"""

from collections.abc import Collection, Sequence

import torch

from eomt.image_processing.bounds import SLACK, may_win, tile_extremes
from eomt.image_processing.sizes import Layout, Size
from eomt.image_processing.threads import one_thread, side_by_side
from eomt.image_processing.upsampling import SUPPORT, logit_rows, rows_under, upsampled_rows

ROWS = 256  # read off at a time: the intermediate maps of a large image would take more memory than the result
STRIP = 1 << 15  # pixels, in whole rows, that queries compete for at a time


def panoptic_segmentation(
    mask_logits: torch.Tensor,
    class_logits: torch.Tensor,
    layout: Layout,
    target: Size,
    threshold: float,
    mask_threshold: float,
    overlap_mask_area_threshold: float,
    stuff_classes: Collection[int],
    with_confidence: bool = False,
) -> dict:
    """Each pixel goes to the confident query with the largest score x mask probability.

    Args:
        mask_logits: (Q, h, w) float32.
        class_logits: (Q, C + 1), no-object last.
        layout: how the image lies in the model's input.
        target: (H, W).
        threshold: a query counts when its best class is a real one and its probability above this.
        mask_threshold: a pixel becomes void when its query's mask probability is below this.
        overlap_mask_area_threshold: a query is dropped when it wins this fraction or less of its own mask's area.
        stuff_classes: classes of which an image has one segment at most.
        with_confidence: whether segments have a `confidence` as well.

    Returns:
        `segmentation`, int64 (H, W) of segment ids, -1 is void, and `segments_info`, a list of {id, label_id, score}.
    """
    confident, scores, labels = _confident(class_logits, threshold)
    if len(scores) == 0:
        return {"segmentation": torch.full(target, -1, device=mask_logits.device), "segments_info": []}

    winners, best, mask_areas = _winners(mask_logits[confident], scores, layout, target, mask_threshold)
    if not with_confidence:
        del best  # as large as the result
    # The two codes of query k are 2 k and 2 k + 1, so one count a code gives the pixels it wins outside and inside its mask.
    areas = torch.bincount(winners.flatten(), minlength=2 * len(scores)).view(-1, 2)  # (n, 2): outside, inside its mask
    segment_of_query, segments = _number_segments(labels, scores, areas, mask_areas, overlap_mask_area_threshold, stuff_classes)
    table = torch.full((2 * len(scores),), -1, device=winners.device)  # pixels won outside the winner's mask stay void
    table[1::2] = torch.tensor(segment_of_query, device=winners.device)
    segmentation = torch.empty(target, dtype=torch.int64, device=winners.device)

    def read_off(starts: Sequence[int]) -> None:
        for start in starts:
            segmentation[start : start + ROWS] = table[winners[start : start + ROWS].long()]

    side_by_side(read_off, range(0, target[0], ROWS), winners.device)
    if with_confidence:
        for segment, mean in zip(segments, _means(best, segmentation, len(segments)), strict=True):
            segment["confidence"] = mean
    return {"segmentation": segmentation, "segments_info": segments}


@one_thread()
def _confident(class_logits: torch.Tensor, threshold: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Which queries count, bool (Q,), and their scores and classes, (n,)."""
    scores, labels = class_logits.softmax(-1).max(-1)
    confident = (labels != class_logits.shape[-1] - 1) & (scores > threshold)
    return confident, scores[confident], labels[confident]


def _winners(
    mask_logits: torch.Tensor, scores: torch.Tensor, layout: Layout, target: Size, mask_threshold: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of each pixel the code of the query that wins it, int16 (H, W), and its score x mask probability there, (H, W); and the areas
    of all masks in pixels, (n,).

    The code of query k is 2 k + 1 inside its mask and 2 k outside: a query may win pixels that don't belong to its mask.
    """
    winners = torch.empty(target, dtype=torch.int16, device=mask_logits.device)
    best = torch.empty(target, device=mask_logits.device)

    strip = max(1, STRIP // target[1])

    def areas_of(starts: Sequence[int]) -> torch.Tensor:
        areas = torch.zeros(len(scores), dtype=torch.int64, device=mask_logits.device)
        for start in starts:
            rows = slice(start, min(start + strip, target[0]))
            chosen, full = _competitors(mask_logits, scores[:, None], layout, target, rows, mask_threshold)
            probs = upsampled_rows(mask_logits[chosen], layout, target, rows.start, rows.stop).sigmoid()
            inside = probs >= mask_threshold
            areas += full * best[rows].numel()
            areas[chosen] = areas[chosen] + inside.sum((1, 2))
            best[rows], where = probs.mul_(scores[chosen, None, None]).max(0)  # of equals the first wins, as in argmax
            winners[rows] = 2 * chosen[where] + inside.gather(0, where[None])[0]
        return areas

    areas = side_by_side(areas_of, range(0, target[0], strip), mask_logits.device)
    return winners, best, torch.stack(areas).sum(0)


def _competitors(
    mask_logits: torch.Tensor, scores: torch.Tensor, layout: Layout, target: Size, rows: slice, mask_threshold: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The queries to compute in a strip of the target, (k,): those that may win a pixel, and those whose mask has a border there.
    And which of the others have the whole strip in their masks, bool (n,)."""
    first, last = logit_rows(mask_logits.shape[1], layout, target, rows.start, rows.stop)[0]
    left, right = rows_under(0, layout.content[1], mask_logits.shape[2], layout.canvas[1])
    least, greatest = (edge.sigmoid() for edge in tile_extremes(mask_logits[:, first:last, left:right], SUPPORT))
    full = (least >= mask_threshold + SLACK).all(1)
    empty = (greatest < mask_threshold - SLACK).all(1)
    computed = may_win(least * scores, greatest * scores) | ~(full | empty)
    return computed.nonzero().flatten(), full & ~computed


@one_thread()
def _number_segments(
    labels: torch.Tensor,
    scores: torch.Tensor,
    areas: torch.Tensor,
    mask_areas: torch.Tensor,
    overlap_mask_area_threshold: float,
    stuff_classes: Collection[int],
) -> tuple[list[int], list[dict]]:
    """The segment id of each confident query (-1: none), and the segments; stuff of one class shares the first's id.

    Args:
        areas: pixels that each query wins outside and inside its mask, (n, 2).
        mask_areas: of all masks, (n,).
    """
    ratios, exists = areas.sum(1) / mask_areas, (areas[:, 1] > 0) & (mask_areas > 0)
    queries = zip(*(values.tolist() for values in (labels, scores, ratios, exists)), strict=True)
    segment_of_query, segments, stuff_ids = [], [], {}
    for label, score, ratio, has_pixels in queries:
        if not (has_pixels and ratio > overlap_mask_area_threshold):
            segment_of_query.append(-1)
        elif label in stuff_ids:
            segment_of_query.append(stuff_ids[label])
        else:
            segment_of_query.append(len(segments))
            if label in stuff_classes:
                stuff_ids[label] = len(segments)
            segments.append({"id": len(segments), "label_id": label, "score": round(score, 6)})
    return segment_of_query, segments


def _means(values: torch.Tensor, segmentation: torch.Tensor, count: int) -> list[float]:
    """The mean of (H, W) values over each of `count` segments, by id."""
    sums = torch.zeros(2, count + 1, dtype=torch.float64, device=values.device)  # of values and of pixels; void comes first
    for rows, ids in zip(values.split(ROWS), segmentation.split(ROWS), strict=True):
        index = ids.flatten() + 1
        sums[0] += torch.bincount(index, weights=rows.flatten().double(), minlength=count + 1)
        sums[1] += torch.bincount(index, minlength=count + 1)
    return (sums[0] / sums[1])[1:].tolist()
