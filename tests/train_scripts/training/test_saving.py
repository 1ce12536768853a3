"""A checkpoint is completed, marked as whole, and only then older ones go."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerControl, TrainerState
from transformers.trainer_utils import IntervalStrategy

from eomt.train_scripts.data.training_stream import WorkerPosition
from eomt.train_scripts.evaluation.checkpoints import MARK, check_whole, checkpoint_of, is_interim, last_whole, mark_whole
from eomt.train_scripts.training.interruption import TimelyCheckpoints
from eomt.train_scripts.training.progress import TrainingProgress
from eomt.train_scripts.training.run_record import RunRecord, record_file
from eomt.train_scripts.training.saving import CheckpointSaver, LogsEndWithCheckpoints
from eomt.train_scripts.training.signals import Signals
from eomt.train_scripts.training.skipped_samples import SkippedSamples
from eomt.train_scripts.training.weight_average import FILE, WeightAverage


def arguments(output_dir, **changed):
    options = dict(output_dir=str(output_dir), should_save=True, save_only_model=False, push_to_hub=False, process_index=0)
    return SimpleNamespace(**{**options, **changed})


def saver_of(limit=None, average=None):
    skipped, timely = SkippedSamples(), TimelyCheckpoints(Signals(), 0)
    skipped.total = 7
    record = RunRecord({"seed": 1}, {}, {0: WorkerPosition(4, 1, 2)})
    return CheckpointSaver(record, TrainingProgress(), skipped, timely, average, limit)


@pytest.fixture
def model():
    return torch.nn.Linear(2, 1)


def save(saver, args, model, step, best=None, interim=False):
    """As Trainer saves a checkpoint: its files lie between `begin` and `on_save`."""
    saver.timely.interim = interim
    folder = checkpoint_of(args.output_dir, step)
    saver.begin(folder, args)
    folder.mkdir(exist_ok=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    state = TrainerState(global_step=step, best_model_checkpoint=best and str(checkpoint_of(args.output_dir, best)))
    saver.on_save(args, state, None, model=model)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_checkpoint_holds_the_record_and_is_whole(model, tmp_path):
    folder = save(saver_of(), arguments(tmp_path, process_index=2), model, 3)
    check_whole(folder)
    record = RunRecord.read(folder / record_file(2))
    assert record.positions == {0: WorkerPosition(4, 1, 2)} and record.skipped == 7 and record.seconds > 0
    assert names(folder) == ["model.safetensors", "place_in_data_2.json", MARK]


def test_with_averages_it_holds_the_weights_that_are_trained(model, tmp_path):
    average = WeightAverage(0.5)
    average.on_train_begin(None, None, None, model=model)
    folder = save(saver_of(average=average), arguments(tmp_path), model, 3)
    check_whole(folder)
    assert torch.equal(load_file(folder / FILE)["weight"], model.weight)


def test_one_that_is_written_again_is_not_whole_until_it_is_complete(model, tmp_path):
    args, saver = arguments(tmp_path), saver_of()
    folder = save(saver, args, model, 3)
    saver.begin(folder, args)
    assert not (folder / MARK).exists()
    saver.complete(folder, args, model)
    check_whole(folder)


def test_a_model_alone_is_no_checkpoint_to_resume(model, tmp_path):
    folder = save(saver_of(), arguments(tmp_path, save_only_model=True), model, 3)
    assert names(folder) == ["model.safetensors"]


def test_a_checkpoint_that_is_pushed_was_completed_before(model, tmp_path):
    """And is not written into while it is uploaded."""
    folder = save(saver_of(), arguments(tmp_path, push_to_hub=True), model, 3)
    assert names(folder) == ["model.safetensors"]


def test_other_processes_add_their_record_and_leave_the_rest_to_the_first(model, tmp_path):
    average = WeightAverage(0.5)
    average.on_train_begin(None, None, None, model=model)
    save(saver_of(), arguments(tmp_path), model, 2)
    args = arguments(tmp_path, should_save=False, process_index=1)
    folder = save(saver_of(limit=1, average=average), args, model, 3)
    assert names(folder) == ["model.safetensors", "place_in_data_1.json"]
    assert names(tmp_path) == ["checkpoint-2", "checkpoint-3"]


@pytest.mark.parametrize(
    ("limit", "best", "kept"), [(None, None, [1, 2, 3, 4]), (2, None, [3, 4]), (1, 2, [2, 4]), (3, 1, [1, 3, 4])]
)
def test_older_ones_go_when_a_new_one_is_whole_but_for_the_best(model, tmp_path, limit, best, kept):
    saver, args = saver_of(limit), arguments(tmp_path)
    for step in range(1, 5):
        save(saver, args, model, step, best if best is not None and best <= step else None)
    assert names(tmp_path) == [f"checkpoint-{step}" for step in kept]


@pytest.mark.parametrize(
    ("limit", "best", "kept"),
    [(None, None, [1, 3, 4, 6]), (0, 3, [1, 3, 4, 6]), (2, None, [3, 4, 6]), (2, 1, [1, 4, 6]), (1, 3, [3, 4, 6])],
)
def test_interim_ones_push_out_no_others_and_go_with_the_next(model, tmp_path, limit, best, kept):
    """Of six checkpoints 2, 5 and 6 are interim."""
    saver, args = saver_of(limit), arguments(tmp_path)
    for step in range(1, 7):
        folder = save(saver, args, model, step, best if best is not None and best <= step else None, interim=step in (2, 5, 6))
        assert last_whole(tmp_path) == folder and is_interim(folder) == (step in (2, 5, 6))
    assert names(tmp_path) == [f"checkpoint-{step}" for step in kept]


def test_an_interim_one_stays_until_the_next_is_whole(model, tmp_path, monkeypatch):
    """Also one that was half-written goes then, and one that is written again by the strategy is no longer interim."""
    saver, args = saver_of(limit=1), arguments(tmp_path)
    save(saver, args, model, 1, interim=True)
    saver.timely.interim = True
    saver.begin(checkpoint_of(tmp_path, 2), args)
    assert names(tmp_path) == ["checkpoint-1", "checkpoint-2"] and last_whole(tmp_path).name == "checkpoint-1"
    save(saver, args, model, 3, interim=True)
    assert names(tmp_path) == ["checkpoint-3"]
    save(saver, args, model, 3)
    assert not is_interim(tmp_path / "checkpoint-3")


def test_older_ones_stay_while_a_new_one_is_written(model, tmp_path, monkeypatch):
    saver, args = saver_of(limit=1), arguments(tmp_path)
    save(saver, args, model, 1)
    present = []

    def mark(folder):
        present.append(names(tmp_path))
        mark_whole(folder)

    monkeypatch.setattr("eomt.train_scripts.training.saving.mark_whole", mark)
    save(saver, args, model, 2)
    assert present == [["checkpoint-1", "checkpoint-2"]] and names(tmp_path) == ["checkpoint-2"]


@pytest.mark.parametrize(("limit", "strategy", "kept"), [(1, "steps", [2, 4]), (0, "best", [2, 4]), (1, "no", []), (0, "no", [])])
def test_when_the_run_has_finished_interim_ones_go(model, tmp_path, limit, strategy, kept):
    """Whatever the limit; without a strategy, all go."""
    for step in (2, 4, 5):
        save(saver_of(), arguments(tmp_path), model, step, interim=step == 5)
    saver_of(limit).remove_interim(arguments(tmp_path, should_save=False, save_strategy=strategy), None)
    assert names(tmp_path) == ["checkpoint-2", "checkpoint-4", "checkpoint-5"]
    saver_of(limit).remove_interim(arguments(tmp_path, save_strategy=strategy), None)
    assert names(tmp_path) == [f"checkpoint-{step}" for step in kept]


def test_the_best_is_never_removed(model, tmp_path):
    save(saver_of(), arguments(tmp_path), model, 2, interim=True)
    saver_of(1).remove_interim(arguments(tmp_path, save_strategy="best"), str(tmp_path / "checkpoint-2"))
    assert names(tmp_path) == ["checkpoint-2"]


@pytest.mark.parametrize("due", ["should_save", "should_evaluate", None])
@pytest.mark.parametrize("strategy", [IntervalStrategy.STEPS, IntervalStrategy.NO])
def test_a_log_comes_with_what_may_be_a_checkpoint(due, strategy):
    control = TrainerControl(**({due: True} if due else {}))
    LogsEndWithCheckpoints().on_step_end(SimpleNamespace(logging_strategy=strategy), None, control)
    assert control.should_log == (due is not None and strategy == IntervalStrategy.STEPS)
