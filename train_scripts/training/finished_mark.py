"""The mark of a finished run: `finished.json` in its output folder."""

import json
from pathlib import Path

from transformers import TrainingArguments

from eomt.train_scripts.evaluation.checkpoints import FINISHED, sync_files, write_whole
from eomt.train_scripts.training.progress import TrainingProgress
from eomt.train_scripts.training.run_record import RunRecord
from eomt.train_scripts.training.skipped_samples import SkippedSamples

COMPLETE = "complete"  # whether scores and card have been written as well


class FinishedMark:
    """
    Says that the model in the output folder is the result of the run on record, so that it is trained no further.

    Args:
        record: of this process.
        progress, skipped: what the record is stored with.
    """

    def __init__(self, record: RunRecord, progress: TrainingProgress, skipped: SkippedSamples):
        self.record, self.progress, self.skipped = record, progress, skipped

    def write(self, args: TrainingArguments) -> None:
        """To be called when the model has been stored: the mark comes when the disk has it."""
        if args.should_save:
            sync_files(Path(args.output_dir))
            self.record.write(Path(args.output_dir) / FINISHED, self.progress.total, self.skipped.total)

    def complete(self, args: TrainingArguments) -> None:
        """To be called when all that a run leaves has been written."""
        if args.should_save:
            path = Path(args.output_dir) / FINISHED
            write_whole(path, json.dumps({**json.loads(path.read_text()), COMPLETE: True}, indent=1))


def is_complete(output_dir: str | Path) -> bool:
    """Whether a run has finished and left everything, its scores and card too."""
    path = Path(output_dir) / FINISHED
    return path.is_file() and json.loads(path.read_text()).get(COMPLETE, False)
