"""Hungarian matching of predictions and segments, for all images and blocks at once (paper, section 3.1; Mask2Former).

Shapes: `B` images, `K` predictions (L2 + 1), `Q` queries, `C` classes, `P` points, `n` segments of an image.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from eomt.criterion.points import sample_shared
from eomt.criterion.targets import ImageTargets
from eomt.randomness import ImageDraws


@dataclass
class Matches:
    """
    Matched pairs of all images and blocks, ordered by image, then block, then query. Each field is (M,) int64.

    In every image and block there are `min(Q, n)` of them, and no query and no segment occurs twice. They are found on the
    host and stay there, where asking how many there are waits for nothing; `to` gives a copy on the device.
    """

    image: Tensor
    block: Tensor
    query: Tensor
    segment: Tensor

    def to(self, device: torch.device) -> "Matches":
        return Matches(*torch.stack([self.image, self.block, self.query, self.segment]).to(device))


def matching_costs(
    mask_logits: Tensor, class_logits: Tensor, masks: Tensor, classes: Tensor, weights: tuple[float, float, float]
) -> Tensor:
    """Cost of giving each segment to each query, from values at P points.

    Args:
        mask_logits: (..., Q, P) at the points.
        class_logits: (..., Q, C + 1).
        masks: (..., n, P) in [0, 1] at the same points.
        classes: (..., n).
        weights: of the class, mask (cross-entropy) and dice costs.

    Returns:
        (..., Q, n), finite: what is not a number or infinite becomes the largest float, so it is matched last.
    """
    class_weight, mask_weight, dice_weight = weights
    queries, points = mask_logits.shape[-2:]
    probabilities = mask_logits.sigmoid()
    segments = masks.transpose(-1, -2)  # (..., P, n)
    intersection = probabilities @ segments  # (..., Q, n)
    # binary cross-entropy is softplus(x) - x t, and softplus(x) = x - log(sigmoid(x)), which takes a fifth of softplus' time
    smallest = torch.finfo(probabilities.dtype).tiny
    softplus = mask_logits - probabilities.clamp(min=smallest).log_()
    mask_cost = (softplus.clamp_(min=0).sum(-1, keepdim=True) - mask_logits @ segments) / points
    sizes = probabilities.sum(-1)[..., :, None] + masks.sum(-1)[..., None, :]
    dice_cost = 1 - (2 * intersection + 1) / (sizes + 1)
    wanted = classes[..., None, :].expand(*classes.shape[:-1], queries, -1)
    class_cost = -class_logits.softmax(-1).gather(-1, wanted)
    cost = class_weight * class_cost + mask_weight * mask_cost + dice_weight * dice_cost
    largest = torch.finfo(cost.dtype).max
    return cost.nan_to_num(nan=largest, posinf=largest, neginf=largest)


@torch.no_grad()
def match(
    mask_logits: Sequence[Tensor],
    class_logits: Sequence[Tensor],
    targets: Sequence[ImageTargets],
    class_labels: Sequence[Tensor],
    weights: tuple[float, float, float],
    num_points: int,
    draws: ImageDraws,
) -> Matches:
    """Matches every prediction of every image by itself, with one transfer of all costs to the host.

    Args:
        mask_logits: K tensors (B, Q, h, w).
        class_logits: K tensors (B, Q, C + 1).
        targets, class_labels: the segments of each image and their classes (n,).
        weights: of the class, mask and dice costs.
        num_points: `P`, drawn anew for every image and block and shared by its queries and segments.
        draws: source of the points.
    """
    blocks, images, device = len(mask_logits), len(targets), mask_logits[0].device
    points = draws.uniform("matching points", [blocks] * images, (num_points, 2), device)
    points = points.view(images, blocks, num_points, 2)
    widest = max(len(target) for target in targets)
    masks = points.new_zeros(images, blocks, widest, num_points)
    classes = torch.zeros(images, widest, dtype=torch.int64, device=device)
    for image, (target, labels) in enumerate(zip(targets, class_labels, strict=True)):
        sampled = target.sample_all(points[image].flatten(0, 1))  # (n, K * P)
        masks[image, :, : len(target)] = sampled.view(len(target), blocks, num_points).transpose(0, 1)
        classes[image, : len(target)] = labels
    costs = []
    for k, (of_block, of_classes) in enumerate(zip(mask_logits, class_logits, strict=True)):
        logits = sample_shared(of_block, points[:, k])  # (B, Q, P), of one block at a time: they are large
        costs.append(matching_costs(logits, of_classes.float(), masks[:, k], classes, weights))
    return Matches(*assign(torch.stack(costs, dim=1).cpu(), [len(target) for target in targets]))


def assign(costs: Tensor, counts: Sequence[int]) -> Tensor:
    """Solves the assignment of each image and block.

    Args:
        costs: (B, K, Q, widest) on the host; only the first `n` columns of an image count.
        counts: `n` of each image.

    Returns:
        (4, M): the fields of [`Matches`].
    """
    from scipy.optimize import linear_sum_assignment  # a forward pass without labels doesn't need scipy

    rows = []
    for image, count in enumerate(counts):
        for block in range(costs.shape[1]):
            query, segment = (torch.from_numpy(side) for side in linear_sum_assignment(costs[image, block, :, :count]))
            rows.append(torch.stack([torch.full_like(query, image), torch.full_like(query, block), query, segment]))
    return torch.cat(rows, dim=1)
