"""Exact resuming: a run that was killed goes on as if it had not been."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, IntervalStrategy, TrainOutput, rotate_checkpoints

from eomt.train_scripts.data.training_stream import TrainingStream, WorkerPlace
from eomt.train_scripts.training.checkpoints import AUTO, FINISHED, check_whole, last_whole, mark_whole, unmark
from eomt.train_scripts.training.finished_model import FinishedModelTrainer
from eomt.train_scripts.training.progress import TrainingProgress
from eomt.train_scripts.training.skipped_samples import SkippedSamples

logger = logging.getLogger(__name__)


@dataclass
class TrainedData:
    """
    Which of its stream's samples a process has trained on. What workers have read ahead doesn't count.

    Args:
        order: what the order of samples depends on, by the names of the options.
        settings: what else decides a run's result.
        places: of each of the stream's workers that has given a batch.
    """

    order: dict[str, Any]
    settings: dict[str, Any] = field(default_factory=dict)
    places: dict[int, WorkerPlace] = field(default_factory=dict)

    def add(self, images: Sequence[Mapping]) -> None:
        """A batch that is trained on, as the collator names its images."""
        worker, last = images[-1]["worker"], images[-1]
        self.places[worker] = WorkerPlace(self.places.get(worker, WorkerPlace()).batches + 1, last["epoch"], last["row"])

    def save(self, path: Path, seconds: float, skipped: int) -> None:
        places = {worker: vars(place) for worker, place in self.places.items()}
        content = {"order": self.order, "settings": self.settings, "places": places, "seconds": seconds, "skipped": skipped}
        path.write_text(json.dumps(content, indent=1))

    def load(self, path: Path) -> int:
        """Takes over a stored place.

        Returns:
            How many rows the stored run had left out.

        Raises:
            ValueError: its samples or their order were others, with what differs.
        """
        stored = json.loads(path.read_text()) if path.is_file() else {"order": {}}
        if told := differences(self.order, stored["order"]):
            raise ValueError(
                f"resume_from_checkpoint={str(path.parent)!r}: this run would see other images, or in another order, having "
                f"{told}. Resume with the same, or give the folder as checkpoint, to start a new run from its weights"
            )
        self.places = {int(worker): WorkerPlace(**place) for worker, place in stored["places"].items()}
        return stored["skipped"]


def differences(own: Mapping[str, Any], stored: Mapping[str, Any]) -> str:
    """The options that differ, as `seed=1 instead of 42`; empty if none does."""
    told = [f"{name}={value} instead of {stored.get(name)}" for name, value in own.items() if stored.get(name) != value]
    return ", ".join(told)


class LogsEndWithCheckpoints(TrainerCallback):
    """Logs whenever a checkpoint may come, so that the means logged after it are the same in a resumed run."""

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_) -> None:
        if args.logging_strategy != IntervalStrategy.NO and (control.should_save or control.should_evaluate):
            control.should_log = True


class ResumableTrainer(FinishedModelTrainer):
    """`Trainer` whose checkpoints are whole or refused, and hold the place in the data and the time spent.

    A subclass sets `progress` and `skipped` before it calls `Trainer`'s constructor, tells `trained_data` of each batch, and says
    in `settings` what decides a run's result.
    """

    progress: TrainingProgress
    skipped: SkippedSamples
    train_dataset: TrainingStream
    trained_data: TrainedData
    _push_waits: str | None = None  # a checkpoint's folder, while it is written

    def settings(self) -> dict[str, Any]:
        """By the names of the options; nothing, unless a subclass knows better."""
        return {}

    def train(self, resume_from_checkpoint: str | bool | None = None, **kwargs):
        """As `Trainer.train`; `resume_from_checkpoint` may be "auto" as well. A run that had ended is not trained further.

        Raises:
            ValueError: the checkpoint isn't whole, or there is none though it is True, or `auto` finds that of a run with other
                settings.
        """
        args = self.args
        settings = json.loads(json.dumps(self.settings(), default=str))
        self.trained_data = TrainedData(self._order(), settings)
        chosen = self._choose(resume_from_checkpoint)
        if chosen:
            ended = chosen == Path(args.output_dir)
            first, own = (chosen / (FINISHED if ended else _place_file(process)) for process in (0, args.process_index))
            stored = json.loads(first.read_text()) if first.is_file() else {}
            told = differences(settings, stored.get("settings", {}))
            if told and resume_from_checkpoint in (True, AUTO):
                raise ValueError(
                    f"resume_from_checkpoint={resume_from_checkpoint!r}: {chosen} is of another run, this one having {told}. "
                    "Give it by name to go on from it all the same, or choose another output_dir for a new run"
                )
            self.skipped.total = self.trained_data.load(own)
            if (finished := self._take_up_finished(chosen, stored["seconds"])) is not None:
                return finished
            self.progress.resume(stored["seconds"])  # the first process's clock counts
            args.eval_on_start = False  # was before the interruption
        self.train_dataset.resume(self.trained_data.places, args.per_device_train_batch_size)
        self.accelerator.wait_for_everyone()  # all have looked for what is now taken away
        if args.should_save:
            (Path(args.output_dir) / FINISHED).unlink(missing_ok=True)
        return super().train(resume_from_checkpoint=str(chosen) if chosen else None, **kwargs)

    def mark_finished(self) -> None:
        """Says that the model in the output folder is the run's result, so that `auto` trains it no further."""
        if self.args.should_save:
            path = Path(self.args.output_dir) / FINISHED
            self.trained_data.save(path, self.progress.total, self.skipped.total)

    def _order(self) -> dict[str, Any]:
        args = self.args
        return {
            "num_processes": args.world_size,
            "dataloader_num_workers": args.dataloader_num_workers,
            "per_device_train_batch_size": args.per_device_train_batch_size,
            "total_batch_size": args.total_batch_size,
            **self.train_dataset.order,
        }

    def _choose(self, resume_from_checkpoint: str | bool | None) -> Path | None:
        """The folder to go on from, which is the output folder for a finished run."""
        output = Path(self.args.output_dir)
        if resume_from_checkpoint is True or resume_from_checkpoint == AUTO:
            if (output / FINISHED).is_file():
                finished = json.loads((output / FINISHED).read_text())
                own = self.trained_data
                if not differences(own.order, finished["order"]) and not differences(own.settings, finished["settings"]):
                    return output
            found = last_whole(output)
            if resume_from_checkpoint is True and found is None:
                raise ValueError(f"resume_from_checkpoint=True: {output} has no whole checkpoint; auto starts anew then")
            return found
        if resume_from_checkpoint:
            check_whole(resume_from_checkpoint)
        return Path(resume_from_checkpoint) if resume_from_checkpoint else None

    def _take_up_finished(self, folder: Path, seconds: float) -> TrainOutput | None:
        """The end of a run whose last checkpoint this is; None for a checkpoint in the middle of one."""
        args, minutes = self.args, self.progress.minutes
        state = TrainerState.load_from_json(str(folder / TRAINER_STATE_NAME))
        ended = folder == Path(args.output_dir)
        if not ended and (state.global_step < args.max_steps if minutes is None else seconds < 60 * minutes):
            return None
        logger.warning("%s is the end of its run: nothing is left to train", folder)
        state.is_world_process_zero, state.is_local_process_zero = self.is_world_process_zero(), self.is_local_process_zero()
        self.state = state
        Trainer._load_from_checkpoint(self, str(folder))  # the model that was scored, so the averages, if there are any
        if args.load_best_model_at_end and state.best_global_step and not ended:
            state.best_model_checkpoint = str(folder.parent / f"{PREFIX_CHECKPOINT_DIR}-{state.best_global_step}")
            self._load_best_model()
        self.progress.total = seconds
        results = folder / "train_results.json"
        metrics = json.loads(results.read_text()) if ended and results.is_file() else {"train_runtime": seconds}
        self.accelerator.wait_for_everyone()  # all have read what the first process is going to write again
        return TrainOutput(state.global_step, metrics.get("train_loss", 0.0), metrics)

    def _save_checkpoint(self, model: nn.Module, trial) -> None:
        args = self.args
        folder = Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        if args.should_save:
            unmark(folder)
        self.accelerator.wait_for_everyone()
        limit, args.save_total_limit = args.save_total_limit, None  # older ones stay until this one is whole
        self._push_waits = ""
        try:
            super()._save_checkpoint(model, trial)
        finally:
            args.save_total_limit = limit
            waiting, self._push_waits = self._push_waits, None
        if not args.save_only_model:
            self.trained_data.save(folder / _place_file(args.process_index), self.progress.spent, self.skipped.total)
            if self.average is not None and args.should_save:
                self.average.save(folder, self.model)
        self.accelerator.wait_for_everyone()
        if args.should_save and not args.save_only_model:
            mark_whole(folder)
        if waiting:
            self._push_from_checkpoint(waiting)
        if args.should_save:
            rotate_checkpoints(args.output_dir, limit, self.state.best_model_checkpoint, use_mtime=True)

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        """Waits until the checkpoint is whole."""
        if self._push_waits is None:
            super()._push_from_checkpoint(checkpoint_folder)
        else:
            self._push_waits = checkpoint_folder


def _place_file(process: int) -> str:
    return f"place_in_data_{process}.json"
