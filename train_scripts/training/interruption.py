"""What keeps an interruption from costing more than minutes: checkpoints by the clock, and one when a signal stops the training."""

import time

import torch
import torch.distributed as dist
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from eomt.train_scripts.evaluation.checkpoints import checkpoint_of
from eomt.train_scripts.training.signals import Signals

MOST_TIME_SAVING = 0.05  # share of the time between two checkpoints by the clock that writing one may take
NOTHING, SAVE, STOP = range(3)


class Interrupted(KeyboardInterrupt):
    """A training has stopped before its end, after a whole checkpoint. The message says how to go on."""


class TimelyCheckpoints(TrainerCallback):
    """
    Asks for a checkpoint when the last one is `minutes` old, and when a signal has come; after the latter the training stops.

    All processes save and stop at the same step: each step ends with the maximum, over all, of what each has to ask for. It is
    taken over a group of gloo, so that no GPU is waited for. The first process's clock counts.

    At a step that is evaluated Trainer itself decides on a checkpoint, in one strategy by the score. Then the next step is the one.

    Args:
        signals: of this process.
        minutes: between two checkpoints; 0 for none by the clock.

    Attributes:
        interim: whether nothing else has asked for the checkpoint that comes next. It is then only there to go on from.
    """

    def __init__(self, signals: Signals, minutes: float):
        self.signals, self.minutes = signals, minutes
        self.interim = False
        self._group: dist.ProcessGroup | None = None
        self._asked = NOTHING
        self._last_save = time.monotonic()
        self._writing_since: float | None = None
        self._seconds_to_write = 0.0

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_) -> None:
        self._asked, self._last_save = NOTHING, time.monotonic()
        if dist.is_initialized() and dist.get_world_size() > 1:
            self._group = dist.new_group(backend="gloo")

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_) -> None:
        self._asked = self._joint(max(self._asked, self._wanted(args)))
        is_free = not control.should_evaluate and not control.should_training_stop
        self.interim = bool(self._asked) and is_free and not control.should_save
        control.should_save |= self.interim
        if control.should_save:
            self._writing_since = time.monotonic()

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_) -> None:
        if self._writing_since is not None:  # an evaluation comes before the checkpoint of its step
            self._writing_since = time.monotonic()

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_) -> None:
        """Must come after the callback that completes the checkpoint.

        Raises:
            Interrupted: a signal has come.
        """
        now = time.monotonic()
        if self._writing_since is not None:
            self._seconds_to_write = now - self._writing_since
        self._last_save, self._writing_since = now, None
        stop, self._asked, self.interim = self._asked == STOP, NOTHING, False
        if stop:
            raise Interrupted(stop_message(args, state))

    def _wanted(self, args: TrainingArguments) -> int:
        if self.signals.received:
            return STOP
        interval = max(60 * self.minutes, self._seconds_to_write / MOST_TIME_SAVING)
        due = self.minutes and args.process_index == 0 and time.monotonic() - self._last_save >= interval
        return SAVE if due else NOTHING

    def _joint(self, wanted: int) -> int:
        if self._group is None:
            return wanted
        most = torch.tensor([wanted])
        dist.all_reduce(most, dist.ReduceOp.MAX, self._group)
        return int(most)


def stop_message(args: TrainingArguments, state: TrainerState) -> str:
    """How to go on with a training that has stopped."""
    folder = checkpoint_of(args.output_dir, state.global_step)
    if args.save_only_model:
        return f"stopped after step {state.global_step}: {folder} has only the model, by save_only_model: no run goes on from it"
    without = " without --overwrite" if args.overwrite else ""
    return f"stopped after step {state.global_step}, saved in {folder}: the same command{without} goes on from there"
