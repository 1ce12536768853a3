"""What a checkpoint holds beside Trainer's files, and when it counts as whole."""

import shutil
from pathlib import Path

from accelerate import PartialState
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import IntervalStrategy, SaveStrategy

from eomt.train_scripts.evaluation.checkpoints import (
    INTERIM,
    checkpoint_of,
    checkpoints_of,
    is_interim,
    mark_whole,
    unmark,
)
from eomt.train_scripts.training.interruption import TimelyCheckpoints
from eomt.train_scripts.training.progress import TrainingProgress
from eomt.train_scripts.training.run_record import RunRecord, record_file
from eomt.train_scripts.training.skipped_samples import SkippedSamples
from eomt.train_scripts.training.weight_average import WeightAverage


class CheckpointSaver(TrainerCallback):
    """
    Adds to a checkpoint what exact resuming needs, marks it as whole, and only then lets older ones go.

    A run may be killed at any moment, so the order is what counts:

    1. `begin` takes the mark of an earlier run off the folder, before anything in it is written anew, and says if it is interim;
    2. Trainer writes model, optimiser, schedule, random states and its own state;
    3. `complete` adds the record of each process and the weights that are trained, waits for all processes, and marks the folder;
    4. older checkpoints are removed.

    Trainer's own rotation would come before 3, and would remove the last whole checkpoint while the new one is half-written.
    So Trainer gets no limit, and this class has it. An interim checkpoint, for which only the clock or a signal has asked, counts
    for nothing in the limit, and goes with the next one.

    Args:
        record: of this process.
        progress, skipped: what the record is stored with.
        timely: knows whether a checkpoint is interim.
        average: of the weights; None trains without.
        limit: checkpoints to keep of those that aren't interim; None or 0 keeps all. The best and the last always stay.
    """

    def __init__(
        self,
        record: RunRecord,
        progress: TrainingProgress,
        skipped: SkippedSamples,
        timely: TimelyCheckpoints,
        average: WeightAverage | None = None,
        limit: int | None = None,
    ):
        self.record, self.progress, self.skipped, self.timely = record, progress, skipped, timely
        self.average, self.limit = average, limit

    def begin(self, folder: Path, args: TrainingArguments) -> None:
        """To be called by all processes before a checkpoint is written."""
        if args.should_save:
            unmark(folder)
            (folder / INTERIM).unlink(missing_ok=True)
            if self.timely.interim:
                folder.mkdir(parents=True, exist_ok=True)
                (folder / INTERIM).touch()
        PartialState().wait_for_everyone()  # no process may write into a folder that still counts as whole

    def complete(self, folder: Path, args: TrainingArguments, model: nn.Module) -> None:
        """To be called by all processes when Trainer has written its part. With `save_only_model` there is nothing to resume."""
        if args.save_only_model:
            return
        self.record.write(folder / record_file(args.process_index), self.progress.spent, self.skipped.total)
        if self.average is not None and args.should_save:
            self.average.save(folder, model)
        PartialState().wait_for_everyone()  # the mark lists the files of all processes
        if args.should_save:
            mark_whole(folder)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: nn.Module, **_) -> None:
        folder = checkpoint_of(args.output_dir, state.global_step)
        if not args.push_to_hub:  # a checkpoint that may be pushed is complete by now, see EomtTrainer._push_from_checkpoint
            self.complete(folder, args, model)
        if args.should_save:
            self._remove_older(folder, state.best_model_checkpoint)

    def _remove_older(self, new: Path, best: str | None) -> None:
        """Interim ones, and what is beyond the limit when one has come that counts in it."""
        folders = checkpoints_of(new.parent)
        staying = [folder for folder in folders if folder == new or _is_same(folder, best)]
        others = [folder for folder in folders if folder not in staying]
        removed = [folder for folder in others if is_interim(folder)]
        if self.limit and self.limit > 0 and not is_interim(new):
            removed += [folder for folder in others if folder not in removed][max(0, self.limit - len(staying)) :]
        for folder in removed:
            shutil.rmtree(folder, ignore_errors=True)

    def remove_interim(self, args: TrainingArguments, best: str | None) -> None:
        """To be called when the run has finished: checkpoints that were only to go on from go. These are all, if no others were
        asked for.

        Args:
            args: of the run.
            best: the best checkpoint, which stays; None if there is none.
        """
        if not args.should_save:
            return
        for folder in checkpoints_of(args.output_dir):
            if args.save_strategy == SaveStrategy.NO or (is_interim(folder) and not _is_same(folder, best)):
                shutil.rmtree(folder)


def _is_same(folder: Path, best: str | None) -> bool:
    return best is not None and Path(best).is_dir() and folder.samefile(best)


class LogsEndWithCheckpoints(TrainerCallback):
    """Logs whenever a checkpoint may come, so that the means logged after it are the same in a resumed run.

    Must come after the callbacks that decide when to save and to evaluate.
    """

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_) -> None:
        if args.logging_strategy != IntervalStrategy.NO and (control.should_save or control.should_evaluate):
            control.should_log = True
