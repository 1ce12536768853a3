"""A [`MaskClassifier`] that can be trained with mask-piloted queries; see `eomt.piloted_queries`."""

from collections.abc import Sequence

import torch
from torch import Tensor

from eomt.collectives import mean_over_processes
from eomt.criterion.piloted_loss import piloted_loss_terms
from eomt.criterion.targets import ImageTargets
from eomt.mask_classifier import MaskClassifier
from eomt.piloted_queries import PilotedQueries, Piloting
from eomt.prediction import Prediction
from eomt.randomness import ImageDraws


class PilotedClassifier(MaskClassifier):
    """
    Its `predict_blocks` takes `pilots` as well, and gives what it reads off them with each prediction.

    Attributes:
        piloting: how a training has piloted queries; None has none. Not stored, and of no effect in evaluation.
    """

    piloting: Piloting | None = None

    def labelled_inputs(
        self, pixel_values: Tensor, targets: Sequence[ImageTargets], class_labels: Sequence[Tensor], draws: ImageDraws
    ) -> dict[str, PilotedQueries]:
        """`pilots`, where the images have any at this step of a training."""
        if self.piloting is None or not self.training:
            return {}
        grid, probs = self.embeddings.patch_embeddings.grid_of(pixel_values), self.attn_mask_probs.tolist()
        pilots = self.piloting.draw(targets, class_labels, grid, probs, self.config.num_labels, draws)
        return {} if pilots is None else {"pilots": pilots}

    def loss_terms(
        self,
        predictions: Sequence[Prediction],
        targets: Sequence[ImageTargets],
        class_labels: Sequence[Tensor],
        draws: ImageDraws,
        normalizers: Tensor | None,
    ) -> dict[str, Tensor]:
        if self.piloting is None or not self.training:
            return super().loss_terms(predictions, targets, class_labels, draws, normalizers)
        if normalizers is None:
            normalizers = mean_over_processes(self.loss_normalizers(class_labels).to(predictions[0].mask_logits.device))
        if len(normalizers) != 3:
            raise ValueError(
                f"loss_normalizers has {len(normalizers)} numbers, where a model with piloted queries needs 3; use those of "
                "model.loss_normalizers(class_labels)"
            )
        terms = super().loss_terms(predictions, targets, class_labels, draws, normalizers[:2])
        piloted = [prediction.piloted for prediction in predictions if prediction.piloted is not None]
        num_queries = normalizers[2].to(predictions[0].mask_logits.device)
        return terms | piloted_loss_terms(self.criterion, piloted, targets, class_labels, draws, num_queries)

    def loss_normalizers(self, class_labels: Sequence[Tensor]) -> Tensor:
        """As in [`MaskClassifier`]. With piloted queries it is (3,), and the last is their number."""
        normalizers = super().loss_normalizers(class_labels)
        if self.piloting is None:
            return normalizers
        return torch.cat([normalizers, normalizers.new_tensor([self.piloting.count(class_labels)])])
