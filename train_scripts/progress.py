"""The progress of a training, which learning rates and annealing follow: by steps, or by a budget of minutes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from accelerate.utils import broadcast
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class TrainingProgress(TrainerCallback):
    """
    Share of the training that is done, for the step about to be taken.

    Args:
        minutes: a budget of training time. Progress is then the time spent over it, and training stops at 1; evaluation
            does not count. None: steps over `max_steps`. With several processes the first one's clock counts for all.
    """

    def __init__(self, minutes: float | None = None):
        self.minutes = minutes
        self.value = 0.0
        self._started = 0.0
        self._paused = 0.0

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_) -> None:
        self._started, self._paused = time.monotonic(), 0.0
        self.value = state.global_step / state.max_steps

    def on_optimizer_step(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_) -> None:
        """Runs before the learning-rate scheduler, so that it sees the progress of the coming step."""
        if self.minutes is None:
            self.value = (state.global_step + 1) / state.max_steps
            return
        spent = (time.monotonic() - self._started - self._paused) / (60 * self.minutes)
        self.value = min(1.0, broadcast(torch.tensor([spent], device=args.device)).item())

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_) -> None:
        if self.value >= 1:
            control.should_training_stop = True

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stops the clock of a time budget."""
        start = time.monotonic()
        yield
        self._paused += time.monotonic() - start
