"""What is scored and stored in the middle of a training: the model as it would be if the training ended now."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from torch import nn
from transformers import Trainer

from eomt.train_scripts.training.finite_loss import FiniteLoss
from eomt.train_scripts.training.mask_annealing import MaskAnnealingCallback
from eomt.train_scripts.training.weight_average import WeightAverage, refuse_averages


class FinishedModelTrainer(Trainer):
    """`Trainer` whose checkpoints hold the model that is scored, and go on with the weights that are trained.

    A subclass sets the three attributes before it calls `Trainer`'s constructor.
    """

    finite: FiniteLoss
    masking: MaskAnnealingCallback
    average: WeightAverage | None
    _is_finished = False  # within `finished_model`

    @contextmanager
    def finished_model(self) -> Iterator[None]:
        """Within, the model is what it would be if the training ended now: its averaged weights, masked as it will end.

        So a checkpoint holds the model that was scored, and loads as that. A save that pushes saves again within, which changes
        nothing.

        Raises:
            FloatingPointError: the loss has not been finite.
        """
        if self._is_finished:
            yield
            return
        self.finite.check()
        masking = self.model.attn_mask_probs.clone()
        with nullcontext() if self.average is None else self.average.swapped_in():
            self.model.set_attn_mask_probs(self.masking.probabilities(1.0, self.model.config.num_blocks))
            self._is_finished = True
            try:
                yield
            finally:
                self._is_finished = False
                self.model.set_attn_mask_probs(masking)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        with self.finished_model():
            super().save_model(output_dir, _internal_call)

    def _determine_best_metric(self, metrics: dict[str, float], trial) -> bool:
        """Of equal scores the later is the better: a run whose scores are still zero must not end as it began."""
        if metrics.get(self.args.metric_for_best_model) == self.state.best_metric:
            self.state.best_metric = None
        return super()._determine_best_metric(metrics, trial)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        if self.average is None:
            refuse_averages(resume_from_checkpoint)
        else:
            self.average.resume(resume_from_checkpoint, self.model)
