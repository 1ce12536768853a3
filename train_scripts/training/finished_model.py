"""What is scored and stored in the middle of a training: the model as it would be if the training ended now."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from eomt.mask_classifier import MaskClassifier
from eomt.train_scripts.training.adapters import Adapters
from eomt.train_scripts.training.finite_loss import FiniteLoss
from eomt.train_scripts.training.mask_annealing import MaskAnnealingCallback
from eomt.train_scripts.training.weight_average import WeightAverage


class FinishedModel:
    """
    Turns a model in training into the one it would be if the training ended now, and back again.

    That model has the averaged weights, where there are averages, the masking probabilities of the end, and adapters merged into
    its weights. It is the one that evaluations score and checkpoints store, so that a stored model has the score that was logged
    for it.

    Args:
        masking: knows the probabilities of the end.
        finite: is asked before the model changes, so that no broken model is scored or stored.
        average: of the weights; None trains without.
        adapters: that are trained; None trains the weights themselves.
    """

    def __init__(
        self,
        masking: MaskAnnealingCallback,
        finite: FiniteLoss,
        average: WeightAverage | None = None,
        adapters: Adapters | None = None,
    ):
        self.masking, self.finite, self.average, self.adapters = masking, finite, average, adapters
        self._applied = False

    @contextmanager
    def applied_to(self, model: MaskClassifier) -> Iterator[None]:
        """Within, `model` is the finished one. All processes must enter, since they check their losses together.

        May be entered again within, which changes nothing: a push saves the model that a save within it saves too.

        Raises:
            FloatingPointError: the loss has not been finite.
        """
        if self._applied:
            yield
            return
        self.finite.check()
        in_training = model.attn_mask_probs.clone()
        with nullcontext() if self.average is None else self.average.swapped_in():
            model.set_attn_mask_probs(self.masking.probabilities(1.0, len(model.attn_mask_probs)))
            self._applied = True
            try:
                with nullcontext() if self.adapters is None else self.adapters.merged():
                    yield
            finally:
                self._applied = False
                model.set_attn_mask_probs(in_training)
