"""Mask and class logits -> a class for each pixel.

Shapes: Q queries, C classes, h, w pixels of the content, H, W of the target.
"""

import torch

from eomt.image_processing.sizes import Placement, Size
from eomt.image_processing.upsampling import resize_bilinear, to_content

QUERIES_AT_ONCE = 32  # bounds the memory: at 1280 x 1280, 200 MB of mask probabilities instead of 1.3 GB for 200 queries


def class_scores(mask_logits: torch.Tensor, class_logits: torch.Tensor, place: Placement) -> torch.Tensor:
    """The sum over queries of class probability x mask probability, (C, h, w) without the padding.

    Args:
        mask_logits: (Q, ...) float32.
        class_logits: (Q, C + 1), no-object last; its share goes to no class.
    """
    classes = class_logits.softmax(-1)[:, :-1]  # (Q, C)
    height, width = place.content
    scores = torch.zeros(classes.shape[1], height * width, device=mask_logits.device)
    for logits, probs in zip(mask_logits.split(QUERIES_AT_ONCE), classes.split(QUERIES_AT_ONCE), strict=True):
        scores.addmm_(probs.T, to_content(logits, place).sigmoid().flatten(1))
    return scores.view(-1, height, width)


def best_classes(scores: torch.Tensor, target: Size) -> tuple[torch.Tensor, torch.Tensor]:
    """Class, int64 (H, W), and score of each pixel, from (C, h, w) scores, without ever holding (C, H, W)."""
    best = torch.full(target, -torch.inf, device=scores.device)
    classes = torch.zeros(target, dtype=torch.int64, device=scores.device)
    for c, plane in enumerate(scores.split(1)):
        upsampled = resize_bilinear(plane, target)[0]
        classes.masked_fill_(upsampled > best, c)
        torch.maximum(best, upsampled, out=best)
    return classes, best


def segments_of_classes(scores: torch.Tensor, target: Size) -> dict:
    """The panoptic result of merged windows: one segment a class, as scores alone can't tell instances apart.

    Returns:
        `segmentation`, int64 (H, W), and `segments_info`, {id, label_id, score} by class, where a score is the mean of
        the class scores over the segment.
    """
    classes, best = best_classes(scores, target)
    present, segmentation, areas = classes.unique(return_inverse=True, return_counts=True)
    totals = torch.bincount(segmentation.flatten(), weights=best.flatten())  # in float64
    means = (totals / areas).tolist()
    segments = [
        {"id": i, "label_id": label, "score": round(score, 6)}
        for i, (label, score) in enumerate(zip(present.tolist(), means, strict=True))
    ]
    return {"segmentation": segmentation, "segments_info": segments}
