"""The loss of mask-piloted queries: that of other queries, without a matching, since each has a segment of its own.

Shapes: `B` images, `K` predictions, `P` piloted queries, `C` classes, `M` pairs of a query and its segment in a prediction.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from eomt.criterion.loss import EomtLoss
from eomt.criterion.normalizers import divisor
from eomt.criterion.targets import ImageTargets
from eomt.piloted_queries import PilotedPrediction
from eomt.randomness import ImageDraws

TERMS = ("loss_mask_piloted", "loss_dice_piloted", "loss_cross_entropy_piloted")


@torch.compiler.disable  # as the loss of other queries
def piloted_loss_terms(
    criterion: EomtLoss,
    predictions: Sequence[PilotedPrediction],
    targets: Sequence[ImageTargets],
    class_labels: Sequence[Tensor],
    draws: ImageDraws,
    num_queries: Tensor,
) -> dict[str, Tensor]:
    """
    Args:
        criterion: the loss of other queries, whose weights and points these have.
        predictions: K of them, or none where no image has piloted queries.
        targets, class_labels: the segments of each image and their classes (n,).
        draws: source of the points.
        num_queries: scalar on the model's device, what each sum is divided by; 0 is taken for 1.

    Returns:
        Scalars by the names in `TERMS`, weighted sums over the K predictions.
    """
    if not predictions:
        return dict.fromkeys(TERMS, num_queries.new_zeros(()))
    config, device = criterion.config, predictions[0].mask_logits.device
    matches = predictions[0].queries.matches(len(predictions))
    at = matches.to(device)
    mask_logits = torch.stack([prediction.mask_logits for prediction in predictions], dim=1)[at.image, at.block, at.query]
    class_logits = torch.stack([prediction.class_logits for prediction in predictions], dim=1)[at.image, at.block, at.query]
    firsts = torch.tensor([0, *(len(labels) for labels in class_labels)]).cumsum(0)  # where each image's labels start
    wanted = torch.cat(list(class_labels))[(firsts[matches.image] + matches.segment).to(device)]  # (M,)
    with torch.autocast(device.type, enabled=False):
        masks, dices = criterion.mask_losses(mask_logits, len(predictions), targets, matches, draws.apart("piloted"))
        classes = F.cross_entropy(class_logits.float(), wanted, reduction="sum")
        sums = (config.mask_weight * masks.sum(), config.dice_weight * dices.sum(), config.class_weight * classes)
        return {name: of_term / divisor(num_queries) for name, of_term in zip(TERMS, sums, strict=True)}
