"""The loss of EoMT: each of the L2 + 1 predictions matched by itself, cross-entropy for classes and masks, dice for masks
(paper, section A.2, equation 2).

Shapes: `B` images, `K` predictions, `Q` queries, `C` classes (the no-object class is index `C`), `M` matches, `P` points.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import initialization as init

from eomt.collectives import mean_over_processes
from eomt.configuration import EomtBaseConfig
from eomt.criterion.matcher import Matches, match
from eomt.criterion.normalizers import divisor, loss_normalizers
from eomt.criterion.points import sample_logits, uncertain_points
from eomt.criterion.targets import ImageTargets
from eomt.initialization import InitializedModule
from eomt.prediction import Prediction
from eomt.randomness import ImageDraws


def mask_cross_entropy(logits: Tensor, masks: Tensor) -> Tensor:
    """Binary cross-entropy of each mask, mean over points: (M, P), (M, P) -> (M,)."""
    return F.binary_cross_entropy_with_logits(logits, masks, reduction="none").mean(1)


def mask_dice(logits: Tensor, masks: Tensor) -> Tensor:
    """Dice loss of each mask, with 1 added to numerator and denominator: (M, P), (M, P) -> (M,)."""
    probabilities = logits.sigmoid()
    intersection = (probabilities * masks).sum(1)
    return 1 - (2 * intersection + 1) / (probabilities.sum(1) + masks.sum(1) + 1)


class EomtLoss(InitializedModule):
    """Matches predictions and segments and computes the weighted loss terms."""

    def __init__(self, config: EomtBaseConfig):
        super().__init__()
        self.config = config
        # for stock to read: the loss itself follows the configuration, since a loaded buffer may hold others, or half precision
        self.register_buffer("empty_weight", self.class_weights())

    def initialize_tensors(self, config: EomtBaseConfig) -> None:
        init.copy_(self.empty_weight, self.class_weights())

    def class_weights(self) -> Tensor:
        """(C + 1,) float32: 1, and `no_object_weight` for the no-object class."""
        weights = torch.ones(self.config.num_labels + 1)
        weights[-1] = self.config.no_object_weight
        return weights

    @torch.compiler.disable  # runs on the host in part, and every new number of segments would be compiled anew
    def forward(
        self,
        predictions: Sequence[Prediction],
        targets: Sequence[ImageTargets],
        class_labels: Sequence[Tensor],
        draws: ImageDraws,
        normalizers: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """
        Args:
            predictions: K of them, the earliest block's first.
            targets, class_labels: the segments of each image and their classes (n,); an image may have none.
            draws: source of the points.
            normalizers: (2,) divisors in place of this batch's own, see [`loss_normalizers`].

        Returns:
            Scalars `loss_mask`, `loss_dice` and `loss_cross_entropy`, weighted, of the final prediction, and those of the
            predictions before block `-i` from the end with the suffix `_block_-i`. Their sum is the loss.
        """
        config, device = self.config, predictions[0].mask_logits.device
        class_logits = [prediction.class_logits for prediction in predictions]
        with torch.autocast(device.type, enabled=False):
            weights = (config.class_weight, config.mask_weight, config.dice_weight)
            mask_logits = [prediction.mask_logits for prediction in predictions]
            matches = match(mask_logits, class_logits, targets, class_labels, weights, config.train_num_points, draws)
        predicted = _matched_masks(predictions, matches)  # in the precision of the network
        with torch.autocast(device.type, enabled=False):
            masks, dices = self.mask_losses(predicted, len(predictions), targets, matches, draws)
            classes = self._class_losses(class_logits, class_labels, matches)
            if normalizers is None:
                normalizers = self._joint_normalizers(class_labels, device)
            num_masks, class_weight = divisor(normalizers).to(device)
            terms = {
                "loss_mask": config.mask_weight * masks / num_masks,
                "loss_dice": config.dice_weight * dices / num_masks,
                "loss_cross_entropy": config.class_weight * classes / class_weight,
            }
        blocks = len(predictions)
        suffixes = [f"_block_{k + 1 - blocks}" for k in range(blocks - 1)] + [""]
        return {name + suffix: term[k] for k, suffix in enumerate(suffixes) for name, term in terms.items()}

    def _joint_normalizers(self, class_labels: Sequence[Tensor], device: torch.device) -> Tensor:
        sums = loss_normalizers(class_labels, self.config.num_queries, self.config.no_object_weight).to(device)
        # in evaluation processes hold different numbers of batches, so waiting for each other would hang
        return mean_over_processes(sums) if self.training else sums

    def mask_losses(
        self, predicted: Tensor, blocks: int, targets: Sequence[ImageTargets], matches: Matches, draws: ImageDraws
    ) -> tuple[Tensor, Tensor]:
        """Sums of cross-entropy and dice over the matches (M, h, w) of each block, (K,) and (K,)."""
        rows = matches.image.bincount(minlength=len(targets)).tolist()  # matches of each image
        segments = matches.segment.to(predicted.device).split(rows)
        with torch.no_grad():
            points = self._loss_points(predicted, rows, draws)  # (M, P, 2)
            wanted = [
                target.sample_each(of_image, at) for target, of_image, at in zip(targets, segments, points.split(rows), strict=True)
            ]
        logits = sample_logits(predicted[:, None], points)[:, 0]  # (M, P)
        wanted = torch.cat(wanted)
        losses = torch.stack([mask_cross_entropy(logits, wanted), mask_dice(logits, wanted)])  # (2, M)
        sums = losses.new_zeros(2, blocks).index_add(1, matches.block.to(losses.device), losses)
        return sums[0], sums[1]

    def _loss_points(self, predicted: Tensor, rows: list[int], draws: ImageDraws) -> Tensor:
        config = self.config
        candidates = int(config.train_num_points * config.oversample_ratio)
        extra = config.train_num_points - int(config.importance_sample_ratio * config.train_num_points)
        return uncertain_points(
            predicted,
            draws.uniform("candidate points", rows, (candidates, 2), predicted.device),
            draws.uniform("random points", rows, (extra, 2), predicted.device),
            config.train_num_points,
        )

    def _class_losses(self, class_logits: Sequence[Tensor], class_labels: Sequence[Tensor], matches: Matches) -> Tensor:
        """Weighted sums of the cross-entropy of each block, (K,)."""
        logits = torch.stack(list(class_logits), dim=1).float()  # (B, K, Q, C + 1)
        wanted = torch.full(logits.shape[:-1], self.config.num_labels, device=logits.device)
        firsts = torch.tensor([0, *(len(labels) for labels in class_labels)]).cumsum(0)  # where each image's labels start
        matched = torch.cat(list(class_labels))[(firsts[matches.image] + matches.segment).to(logits.device)]
        matches = matches.to(logits.device)
        wanted[matches.image, matches.block, matches.query] = matched
        weights = self.class_weights().to(logits.device)
        losses = F.cross_entropy(logits.flatten(0, 2), wanted.flatten(), weight=weights, reduction="none")
        return losses.view(wanted.shape).sum((0, 2))


def _matched_masks(predictions: Sequence[Prediction], matches: Matches) -> Tensor:
    """The matched masks in the order of the matches, (M, h, w)."""
    picked, order = [], []
    for block, prediction in enumerate(predictions):
        rows = (matches.block == block).nonzero()[:, 0]
        picked.append(prediction.masks_of(matches.image[rows], matches.query[rows]))
        order.append(rows)
    return torch.cat(picked)[torch.cat(order).argsort()]
