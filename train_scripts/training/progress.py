"""The progress of a training, which learning rates and annealing follow: by steps, or by a budget of minutes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from accelerate.utils import broadcast
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import IntervalStrategy, SaveStrategy


class TrainingProgress(TrainerCallback):
    """
    Share of the training that is done, for the step about to be taken.

    Without a budget it is steps over `max_steps`. With one it is the time spent over the budget, and the training stops at 1. Time
    of evaluation doesn't count. With several processes the first one's clock counts for all, so that all take the same steps.

    Args:
        minutes: a budget of training time, in which `eval_steps` and `save_steps` below 1 are shares of it; None for none.

    Attributes:
        value: the progress, in [0, 1].
        total: seconds that the whole training took, once it has ended.
    """

    def __init__(self, minutes: float | None = None):
        self.minutes = minutes
        self.value = 0.0
        self._last = 0.0  # value, a step ago
        self._before = 0.0  # seconds spent by the run that this one resumes
        self._started = time.monotonic()
        self._paused = 0.0  # seconds since then that don't count
        self.total = 0.0

    @property
    def spent(self) -> float:
        """Seconds of training, evaluation left out, with those before an interruption."""
        return self._before + time.monotonic() - self._started - self._paused

    def resume(self, spent: float) -> None:
        """Makes the coming training go on after `spent` seconds of an interrupted one."""
        self._before = spent

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_) -> None:
        self._started, self._paused = time.monotonic(), 0.0
        self._last = self.value = self._by_clock(args) if self.minutes is not None else state.global_step / state.max_steps

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_) -> None:
        self.total = self.spent
        self._before = 0.0

    def on_optimizer_step(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_) -> None:
        """Runs before the learning-rate scheduler, so that it sees the progress of the coming step."""
        if self.minutes is None:
            self.value = (state.global_step + 1) / state.max_steps
            return
        self.value = self._by_clock(args)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_) -> None:
        if self.minutes is not None:  # Trainer would take shares of max_steps, which are never reached
            control.should_evaluate |= args.eval_strategy == IntervalStrategy.STEPS and self._passed(args.eval_steps)
            control.should_save |= args.save_strategy == SaveStrategy.STEPS and self._passed(args.save_steps)
            self._last = self.value
        if self.value >= 1:
            control.should_training_stop = True

    def _passed(self, share: float) -> bool:
        """Whether this step is the last, or the first after another share of the budget."""
        return self.value >= 1 or (share < 1 and int(self.value / share) > int(self._last / share))

    def _by_clock(self, args: TrainingArguments) -> float:
        share = self.spent / (60 * self.minutes)
        # processes whose clocks differ would stop at different steps, and wait for each other for ever
        return min(1.0, broadcast(torch.tensor([share], device=args.device)).item())

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stops the clock of a time budget."""
        start = time.monotonic()
        try:
            yield
        finally:
            self._paused += time.monotonic() - start
