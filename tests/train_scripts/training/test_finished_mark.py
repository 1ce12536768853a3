"""The mark of a finished run."""

from types import SimpleNamespace

import pytest

from eomt.train_scripts.data.training_stream import WorkerPosition
from eomt.train_scripts.training.checkpoints import FINISHED
from eomt.train_scripts.training.finished_mark import FinishedMark
from eomt.train_scripts.training.progress import TrainingProgress
from eomt.train_scripts.training.run_record import RunRecord
from eomt.train_scripts.training.skipped_samples import SkippedSamples


@pytest.fixture
def mark():
    progress, skipped = TrainingProgress(), SkippedSamples()
    progress.total, skipped.total = 12.5, 3
    return FinishedMark(RunRecord({"seed": 1}, {"bf16": True}, {0: WorkerPosition(4, 1, 2)}), progress, skipped)


def test_it_holds_the_record_with_the_time_of_the_whole_training(mark, tmp_path):
    mark.write(SimpleNamespace(output_dir=str(tmp_path), should_save=True))
    stored = RunRecord.read(tmp_path / FINISHED)
    assert stored == RunRecord({"seed": 1}, {"bf16": True}, {0: WorkerPosition(4, 1, 2)}, 12.5, 3)


def test_a_training_that_begins_takes_it_away(mark, tmp_path):
    (tmp_path / FINISHED).touch()
    mark.on_train_begin(SimpleNamespace(output_dir=str(tmp_path), should_save=True), None, None)
    assert not (tmp_path / FINISHED).exists()
    mark.on_train_begin(SimpleNamespace(output_dir=str(tmp_path), should_save=True), None, None)


def test_other_processes_leave_it_alone(mark, tmp_path):
    args = SimpleNamespace(output_dir=str(tmp_path), should_save=False)
    mark.write(args)
    assert not list(tmp_path.iterdir())
    (tmp_path / FINISHED).touch()
    mark.on_train_begin(args, None, None)
    assert (tmp_path / FINISHED).exists()
