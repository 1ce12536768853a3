"""Where a training begins: at its first step, after a checkpoint, or nowhere since it has ended.

A run that was interrupted goes on as if it had not been, bit for bit. That takes a whole checkpoint, of a run with the same data in
the same order; anything else is refused with the difference, rather than resumed almost exactly, or overwritten.
"""

import logging
from dataclasses import dataclass, field
from pathlib import Path

from transformers import TrainerState
from transformers.trainer import TRAINER_STATE_NAME

from eomt.train_scripts.evaluation.checkpoints import AUTO, FINISHED, check_whole, last_whole
from eomt.train_scripts.training.finished_mark import is_complete
from eomt.train_scripts.training.run_record import RunRecord, differences, record_file
from eomt.train_scripts.training.used_folder import RUN, check_beginning, check_foreign, check_same, remove_run

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

    `start` reads folders and nothing else, so that all processes choose alike as long as none of them writes.

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

    def start(self, resume_from_checkpoint: str | bool | None = AUTO, overwrite: bool = False) -> Start:
        """
        A run that has been in the output folder goes on, whatever checkpoint it began with; so the same command may always be
        given again.

        Args:
            resume_from_checkpoint: where a run that is new to the output folder begins: after this checkpoint, or, by `auto` or
                nothing, at its first step. True refuses the latter.
            overwrite: whether the run in the output folder, if any, is disregarded.

        Raises:
            ValueError: the checkpoint isn't whole; its data or their order were others; there is none though True asks for one;
                the output folder holds something else, a run of other options, or what follows the checkpoint.
        """
        named = None
        if resume_from_checkpoint not in (None, False, "", True, AUTO):
            check_whole(resume_from_checkpoint)
            named = Path(resume_from_checkpoint)
        if overwrite:
            check_foreign(self.output_dir)
        elif (self.output_dir / FINISHED).is_file():
            return self._finished(named)
        elif last := last_whole(self.output_dir):
            return self._go_on(last, named)
        else:
            check_beginning(self.output_dir, self.record)
        if named is not None:
            return self._after(named)
        if resume_from_checkpoint is True:
            raise ValueError(f"resume_from_checkpoint=True: {self.output_dir} has no whole checkpoint; auto starts anew then")
        return Start()

    def write_begin(self, overwrite: bool) -> None:
        """Prepares the output folder for a training that begins or goes on. One process does, when all have called `start`."""
        if overwrite:
            remove_run(self.output_dir)
        self.output_dir.mkdir(parents=True, exist_ok=True)
        self.record.write(self.output_dir / RUN, seconds=0.0, skipped=0)

    def is_complete(self) -> bool:
        """Whether the output folder holds this very run, finished, with everything that it leaves.

        Raises:
            ValueError: it holds a finished run of other options.
        """
        if not is_complete(self.output_dir):
            return False
        check_same(self.output_dir, self.record, RunRecord.read(self.output_dir / FINISHED))
        return True

    def _finished(self, named: Path | None) -> Start:
        self._refuse_earlier(named, "the finished model")
        stored = RunRecord.read(self.output_dir / FINISHED)  # the first process's record is the only one
        check_same(self.output_dir, self.record, stored)
        self._say(f"{self.output_dir} holds the finished model: nothing is left to train, and its scores are made up for")
        return Start(self.output_dir, stored, stored.seconds, ended=True)

    def _go_on(self, last: Path, named: Path | None) -> Start:
        """After the last whole checkpoint of the output folder. Who names it may have changed options."""
        if named is None or not self._is_inside(named):
            check_same(self.output_dir, self.record, RunRecord.read(last / record_file(0)))
        elif not named.samefile(last):
            self._refuse_earlier(named, last.name)
        return self._after(last)

    def _after(self, folder: Path) -> Start:
        first, record = (RunRecord.read(folder / record_file(process)) for process in (0, self.process))
        if different := differences(self.record.order, record.order):
            raise ValueError(
                f"resume_from_checkpoint={str(folder)!r}: this run would see other images, or in another order, having "
                f"{different}. Resume with the same, or give the folder as checkpoint, to start a new run from its weights"
            )
        ended = self._is_end(folder, first.seconds)
        self._say(f"{folder} is the end of its run: nothing is left to train" if ended else f"going on after {folder}")
        return Start(folder, record, first.seconds, ended)

    def _refuse_earlier(self, named: Path | None, later: str) -> None:
        """A run that goes on from a checkpoint would overwrite what followed it."""
        if named is not None and self._is_inside(named):
            raise ValueError(
                f"resume_from_checkpoint={str(named)!r} is followed by {later} in output_dir={str(self.output_dir)!r}. Leave "
                "resume_from_checkpoint out to go on from the last, or choose another output_dir to go on from this one"
            )

    def _is_inside(self, folder: Path) -> bool:
        return folder.resolve().is_relative_to(self.output_dir.resolve())

    def _say(self, text: str) -> None:
        if self.process == 0:
            logger.warning(text)

    def _is_end(self, folder: Path, seconds: float) -> bool:
        """Whether a checkpoint was written after the last step: the run was killed when only its model was left to store."""
        if self.minutes is not None:
            return seconds >= 60 * self.minutes
        return TrainerState.load_from_json(str(folder / TRAINER_STATE_NAME)).global_step >= self.max_steps
