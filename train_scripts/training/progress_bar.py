"""A progress bar: the share of the training that is done, the time that is left, and the loss."""

from tqdm.auto import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from eomt.train_scripts.evaluation.score_names import HEADLINES
from eomt.train_scripts.training.progress import TrainingProgress

TIMED_STEPS = 5  # from which the time to go is estimated


class TrainingBar(TrainerCallback):
    """
    One line for the whole training, in per cent of its steps or minutes; a printed line for every evaluation.

    Args:
        progress: of the training.
    """

    def __init__(self, progress: TrainingProgress):
        self.progress = progress
        self._bar: tqdm | None = None
        self._first_step, self._first_spent = 0, 0.0  # steps and seconds before this part of the training

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_) -> None:
        if state.is_world_process_zero:
            layout = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
            self._first_step, self._first_spent = state.global_step, self.progress.spent
            self._bar = tqdm(total=1.0, initial=self.progress.value, desc="training", bar_format=layout)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_) -> None:
        if self._bar is None:
            return
        self._bar.update(self.progress.value - self._bar.n)
        if state.global_step != self._first_step + TIMED_STEPS:
            return
        spent = self.progress.spent - self._first_spent
        if self.progress.minutes is not None:
            tqdm.write(f"about {60 * self.progress.minutes / spent * TIMED_STEPS:.0f} steps in {self.progress.minutes:g} minutes")
        else:
            left = spent / TIMED_STEPS * (state.max_steps - state.global_step) / 60
            tqdm.write(f"about {left:.0f} minutes to go" if left >= 1 else "less than a minute to go")

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, float], **_) -> None:
        if self._bar is not None and "loss" in logs:
            self._bar.set_postfix(step=state.global_step, loss=f"{logs['loss']:.2f}", refresh=False)

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, metrics: dict[str, float], **_
    ) -> None:
        if state.is_world_process_zero:
            shown = {name: value for name, value in metrics.items() if name.partition("_")[2] in HEADLINES and value >= 0}
            tqdm.write(f"step {state.global_step}: " + ", ".join(f"{name} {value:.1f}" for name, value in shown.items()))

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_) -> None:
        self.close()

    def close(self) -> None:
        """Ends the line, also of a training that has not come to its end."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
