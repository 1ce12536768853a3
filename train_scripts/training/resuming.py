"""Exact resuming: a run that was killed goes on as if it had not been."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, IntervalStrategy, TrainOutput, rotate_checkpoints

from eomt.train_scripts.data.training_stream import TrainingStream, WorkerPlace
from eomt.train_scripts.training.checkpoints import AUTO, check_whole, last_whole, mark_whole, unmark
from eomt.train_scripts.training.finished_model import FinishedModelTrainer
from eomt.train_scripts.training.progress import TrainingProgress

logger = logging.getLogger(__name__)


@dataclass
class TrainedData:
    """
    Which of its stream's samples a process has trained on. What workers have read ahead doesn't count.

    Args:
        order: what the order of samples depends on, by the names of the options.
        places: of each of the stream's workers that has given a batch.
    """

    order: dict[str, int]
    places: dict[int, WorkerPlace] = field(default_factory=dict)

    def add(self, images: Sequence[Mapping]) -> None:
        """A batch that is trained on, as the collator names its images."""
        worker, last = images[-1]["worker"], images[-1]
        self.places[worker] = WorkerPlace(self.places.get(worker, WorkerPlace()).batches + 1, last["epoch"], last["row"])

    def save(self, path: Path, seconds: float) -> None:
        places = {worker: vars(place) for worker, place in self.places.items()}
        path.write_text(json.dumps({"order": self.order, "places": places, "seconds": seconds}, indent=1))

    def load(self, path: Path) -> float:
        """Takes over a stored place.

        Returns:
            The seconds that the stored run had trained.

        Raises:
            ValueError: the order of its samples was another, with the options that differ.
        """
        stored = json.loads(path.read_text()) if path.is_file() else {"order": {}}
        if differing := [name for name, value in self.order.items() if stored["order"].get(name) != value]:
            told = ", ".join(f"{name}={self.order[name]} instead of {stored['order'].get(name)}" for name in differing)
            raise ValueError(
                f"resume_from_checkpoint={str(path.parent)!r}: this run would see its images in another order, having {told}. "
                "Resume with the same, or give the folder as checkpoint, to start a new run from its weights"
            )
        self.places = {int(worker): WorkerPlace(**place) for worker, place in stored["places"].items()}
        return stored["seconds"]


class LogsEndWithCheckpoints(TrainerCallback):
    """Logs whenever a checkpoint may come, so that the means logged after it are the same in a resumed run."""

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_) -> None:
        if args.logging_strategy != IntervalStrategy.NO and (control.should_save or control.should_evaluate):
            control.should_log = True


class ResumableTrainer(FinishedModelTrainer):
    """`Trainer` whose checkpoints are whole or refused, and hold the place in the data and the time spent.

    A subclass sets `progress` before it calls `Trainer`'s constructor, and tells `trained_data` of each batch.
    """

    progress: TrainingProgress
    train_dataset: TrainingStream
    trained_data: TrainedData

    def train(self, resume_from_checkpoint: str | bool | None = None, **kwargs):
        """As `Trainer.train`; `resume_from_checkpoint` may be "auto" as well. A run that had ended is not trained further.

        Raises:
            ValueError: the checkpoint isn't whole, or there is none though it is True.
        """
        args, chosen = self.args, resume_from_checkpoint
        if chosen is True or chosen == AUTO:
            found = last_whole(args.output_dir)
            if chosen is True and found is None:
                raise ValueError(f"resume_from_checkpoint=True: {args.output_dir} has no whole checkpoint; auto starts anew then")
            chosen = str(found) if found else None
        elif chosen:
            check_whole(chosen)
        order = {
            "num_processes": args.world_size,
            "dataloader_num_workers": args.dataloader_num_workers,
            "per_device_train_batch_size": args.per_device_train_batch_size,
            "total_batch_size": args.total_batch_size,
            **self.train_dataset.order,
        }
        self.trained_data = TrainedData(order)
        if chosen:
            seconds = self.trained_data.load(Path(chosen) / _place_file(args.process_index))
            if (finished := self._take_up_finished(Path(chosen), seconds)) is not None:
                return finished
            self.progress.resume(seconds)
        self.train_dataset.resume(self.trained_data.places, args.per_device_train_batch_size)
        return super().train(resume_from_checkpoint=chosen, **kwargs)

    def _take_up_finished(self, folder: Path, seconds: float) -> TrainOutput | None:
        """The end of a run whose last checkpoint this is; None for a checkpoint in the middle of one."""
        args, minutes = self.args, self.progress.minutes
        state = TrainerState.load_from_json(str(folder / TRAINER_STATE_NAME))
        if state.global_step < args.max_steps if minutes is None else seconds < 60 * minutes:
            return None
        logger.warning("%s is the end of its run: nothing is left to train", folder)
        self.state = state
        Trainer._load_from_checkpoint(self, str(folder))  # the model that was scored, so the averages, if there are any
        if args.load_best_model_at_end and state.best_model_checkpoint:
            self._load_best_model()
        return TrainOutput(state.global_step, 0.0, {"train_runtime": seconds})

    def _save_checkpoint(self, model: nn.Module, trial) -> None:
        args = self.args
        folder = Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        if args.should_save:
            unmark(folder)
        self.accelerator.wait_for_everyone()
        limit, args.save_total_limit = args.save_total_limit, None  # older ones stay until this one is whole
        try:
            super()._save_checkpoint(model, trial)
        finally:
            args.save_total_limit = limit
        if not args.save_only_model:
            self.trained_data.save(folder / _place_file(args.process_index), self.progress.spent)
            if self.average is not None and args.should_save:
                self.average.save(folder, self.model)
        self.accelerator.wait_for_everyone()
        if args.should_save:
            if not args.save_only_model:
                mark_whole(folder)
            rotate_checkpoints(args.output_dir, limit, self.state.best_model_checkpoint, use_mtime=True)


def _place_file(process: int) -> str:
    return f"place_in_data_{process}.json"
