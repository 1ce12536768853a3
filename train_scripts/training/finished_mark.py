"""The mark of a finished run: `finished.json` in its output folder."""

from pathlib import Path

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from eomt.train_scripts.training.checkpoints import FINISHED
from eomt.train_scripts.training.progress import TrainingProgress
from eomt.train_scripts.training.run_record import RunRecord
from eomt.train_scripts.training.skipped_samples import SkippedSamples


class FinishedMark(TrainerCallback):
    """
    Says that the model in the output folder is the result of the run on record, so that `auto` trains it no further.

    A training that begins takes the mark of an earlier one away.

    Args:
        record: of this process.
        progress, skipped: what the record is stored with.
    """

    def __init__(self, record: RunRecord, progress: TrainingProgress, skipped: SkippedSamples):
        self.record, self.progress, self.skipped = record, progress, skipped

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_) -> None:
        if args.should_save:
            (Path(args.output_dir) / FINISHED).unlink(missing_ok=True)

    def write(self, args: TrainingArguments) -> None:
        """To be called when the model has been stored."""
        if args.should_save:
            self.record.write(Path(args.output_dir) / FINISHED, self.progress.total, self.skipped.total)
