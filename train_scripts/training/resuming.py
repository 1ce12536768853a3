"""Where a training begins: at its first step, after a checkpoint, or nowhere since it has ended.

A run that was killed goes on as if it had not been, bit for bit. That takes a whole checkpoint, of a run with the same data in the
same order; anything else is refused with the difference, rather than resumed almost exactly.
"""

import logging
from dataclasses import dataclass, field
from pathlib import Path

from transformers import TrainerState
from transformers.trainer import TRAINER_STATE_NAME

from eomt.train_scripts.training.checkpoints import AUTO, FINISHED, check_whole, last_whole
from eomt.train_scripts.training.run_record import RunRecord, differences, record_file

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Start:
    """
    Where a training begins.

    Args:
        folder: of the checkpoint to load, or the output folder of a run that has ended; None at the first step.
        record: what this process has stored there.
        seconds: of training before. The first process's clock counts, as it does in the training.
        ended: whether nothing is left to train.
    """

    folder: Path | None = None
    record: RunRecord = field(default_factory=lambda: RunRecord(order={}))
    seconds: float = 0.0
    ended: bool = False


class Resumption:
    """
    Chooses where a training begins.

    Reads folders and nothing else, so that all processes choose alike as long as none of them writes.

    Args:
        output_dir: of the run.
        record: of this process, with what decides the run's result.
        process: the index of this one.
        max_steps: of the whole training.
        minutes: of a time budget, which then decides in place of steps whether a training has ended.
    """

    def __init__(self, output_dir: str | Path, record: RunRecord, process: int, max_steps: int, minutes: float | None = None):
        self.output_dir, self.record, self.process = Path(output_dir), record, process
        self.max_steps, self.minutes = max_steps, minutes

    def start(self, resume_from_checkpoint: str | bool | None) -> Start:
        """
        Args:
            resume_from_checkpoint: a checkpoint's folder; `auto` or True for the last whole one of the output folder, or its
                finished model; None or False for the first step.

        Raises:
            ValueError: the checkpoint isn't whole, its data or their order were others, there is none though it is True, or it
                was chosen by `auto` or True and is of a run with other settings.
        """
        folder = self._choose(resume_from_checkpoint)
        if folder is None:
            return Start()
        finished = folder == self.output_dir
        if finished:  # the first process's record is the only one
            first = record = RunRecord.read(folder / FINISHED)
        else:
            first, record = (RunRecord.read(folder / record_file(process)) for process in (0, self.process))
        if resume_from_checkpoint in (True, AUTO) and (different := differences(self.record.settings, first.settings)):
            raise ValueError(
                f"resume_from_checkpoint={resume_from_checkpoint!r}: {folder} is of another run, this one having {different}. "
                "Give it by name to go on from it all the same, or choose another output_dir for a new run"
            )
        if different := differences(self.record.order, record.order):
            raise ValueError(
                f"resume_from_checkpoint={str(folder)!r}: this run would see other images, or in another order, having "
                f"{different}. Resume with the same, or give the folder as checkpoint, to start a new run from its weights"
            )
        ended = finished or self._is_end(folder, first.seconds)
        if ended:
            logger.warning("%s is the end of its run: nothing is left to train", folder)
        return Start(folder, record, first.seconds, ended)

    def _choose(self, resume_from_checkpoint: str | bool | None) -> Path | None:
        if resume_from_checkpoint is not True and resume_from_checkpoint != AUTO:
            if not resume_from_checkpoint:
                return None
            check_whole(resume_from_checkpoint)
            return Path(resume_from_checkpoint)
        if self._is_finished():
            return self.output_dir
        last = last_whole(self.output_dir)
        if resume_from_checkpoint is True and last is None:
            raise ValueError(f"resume_from_checkpoint=True: {self.output_dir} has no whole checkpoint; auto starts anew then")
        return last

    def _is_finished(self) -> bool:
        """Whether the output folder holds the finished model of this very run, and not of one with other settings or data."""
        path = self.output_dir / FINISHED
        if not path.is_file():
            return False
        stored = RunRecord.read(path)
        return not differences(self.record.order, stored.order) and not differences(self.record.settings, stored.settings)

    def _is_end(self, folder: Path, seconds: float) -> bool:
        """Whether a checkpoint was written after the last step: the run was killed when only its model was left to store."""
        if self.minutes is not None:
            return seconds >= 60 * self.minutes
        return TrainerState.load_from_json(str(folder / TRAINER_STATE_NAME)).global_step >= self.max_steps
