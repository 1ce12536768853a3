"""The mark of a finished run."""

from types import SimpleNamespace

import pytest

from eomt.train_scripts.data.training_stream import WorkerPosition
from eomt.train_scripts.evaluation.checkpoints import FINISHED
from eomt.train_scripts.training.finished_mark import FinishedMark, is_complete
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


def test_a_run_is_complete_when_it_says_so(mark, tmp_path):
    assert not is_complete(tmp_path)
    args = SimpleNamespace(output_dir=str(tmp_path), should_save=True)
    mark.write(args)
    stored = RunRecord.read(tmp_path / FINISHED)
    assert not is_complete(tmp_path)
    mark.complete(args)
    assert is_complete(tmp_path) and RunRecord.read(tmp_path / FINISHED) == stored


def test_other_processes_write_nothing(mark, tmp_path):
    args = SimpleNamespace(output_dir=str(tmp_path), should_save=False)
    mark.write(args)
    mark.complete(args)
    assert not list(tmp_path.iterdir())
