"""Checkpoints by the clock and at a signal: when they are asked for, and what stops the training."""

from types import SimpleNamespace

import pytest
from transformers import TrainerControl, TrainerState

from eomt.train_scripts.evaluation.checkpoints import last_whole
from eomt.train_scripts.training import interruption
from eomt.train_scripts.training.interruption import Interrupted, TimelyCheckpoints, stop_message
from eomt.train_scripts.training.signals import Signals


@pytest.fixture
def clock(monkeypatch):
    """`clock[0]`: the seconds that the module sees."""
    now = [100.0]
    monkeypatch.setattr(interruption, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def arguments(output_dir="out", **changed):
    options = dict(output_dir=str(output_dir), process_index=0, save_only_model=False, overwrite=False)
    return SimpleNamespace(**{**options, **changed})


def step(timely, args=None, **due):
    """Whether a checkpoint is asked for after a step with this already due."""
    control = TrainerControl(**due)
    timely.on_step_end(args or arguments(), TrainerState(global_step=3), control)
    return control.should_save


def begun(minutes=10.0):
    timely = TimelyCheckpoints(Signals(), minutes)
    timely.on_train_begin(arguments(), TrainerState(), TrainerControl())
    return timely


def saved(timely):
    timely.on_save(arguments(), TrainerState(global_step=3), TrainerControl())


def test_one_is_asked_for_when_the_last_is_old(clock):
    timely = begun()
    clock[0] += 599
    assert not step(timely)
    clock[0] += 1
    assert step(timely)
    saved(timely)
    assert not step(timely)
    clock[0] += 500
    assert step(timely, should_save=True)  # one of Trainer's counts as well
    saved(timely)
    clock[0] += 500
    assert not step(timely)
    clock[0] += 100
    assert step(timely)


def test_where_writing_one_takes_long_they_are_rarer(clock):
    timely = begun()
    clock[0] += 600
    assert step(timely)
    clock[0] += 60  # a minute to write
    saved(timely)
    clock[0] += 1199
    assert not step(timely)
    clock[0] += 1
    assert step(timely)


def test_an_evaluation_before_it_is_no_time_of_writing(clock):
    timely = begun()
    assert step(timely, should_save=True, should_evaluate=True)
    clock[0] += 600
    timely.on_evaluate(arguments(), TrainerState(global_step=3), TrainerControl())
    clock[0] += 1
    saved(timely)
    clock[0] += 600
    assert step(timely)


def test_zero_minutes_are_none_by_the_clock_and_other_processes_have_no_clock(clock):
    without, other = begun(0), begun()
    clock[0] += 1e6
    assert not step(without) and not step(other, arguments(process_index=1))


@pytest.mark.parametrize("due", ["should_evaluate", "should_training_stop"])
def test_a_step_that_is_evaluated_or_the_last_is_left_to_trainer(clock, due):
    timely = begun()
    timely.signals.received = True
    assert not step(timely, **{due: True})
    assert step(timely)


def test_a_signal_asks_for_one_after_which_the_training_stops(clock):
    timely = begun(0)
    assert not step(timely)
    saved(timely)
    timely.signals.received = True
    assert step(timely)
    with pytest.raises(Interrupted, match="stopped after step 3, saved in out/checkpoint-3: the same command goes on from there"):
        saved(timely)


def test_a_checkpoint_is_interim_unless_something_else_asks_for_it(clock):
    timely = begun()
    for due, interim in (({}, True), ({"should_save": True}, False), ({"should_evaluate": True}, False)):
        clock[0] += 600
        step(timely, **due)
        assert timely.interim == interim
        saved(timely)
        assert not timely.interim
    timely.signals.received = True
    assert step(timely) and timely.interim


def test_the_message_says_what_the_same_command_would_do():
    state = TrainerState(global_step=3)
    assert stop_message(arguments(overwrite=True), state).endswith("the same command without --overwrite goes on from there")
    assert stop_message(arguments(save_only_model=True), state).endswith("by save_only_model: no run goes on from it")


def test_by_the_clock_one_stays_while_the_run_goes_on_and_none_when_it_has_finished(tiny_run, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(TimelyCheckpoints, "on_save", lambda self, *_, **__: seen.append(last_whole(tmp_path).name))
    tiny_run("--max_steps", "3", "--save_minutes", "1e-9", "--eval_split", "")
    assert seen == ["checkpoint-1", "checkpoint-2"] and not list(tmp_path.glob("checkpoint-*"))


def test_those_of_the_strategy_stay_and_those_by_the_clock_go(tiny_run, tmp_path, monkeypatch):
    """One by the clock after every step; that of a step of the strategy is the strategy's."""
    seen, on_save = [], TimelyCheckpoints.on_save

    def record(self, *inputs, **options):
        seen.append(sorted(int(path.name[11:]) for path in tmp_path.glob("checkpoint-*")))
        on_save(self, *inputs, **options)

    monkeypatch.setattr(TimelyCheckpoints, "on_save", record)
    words = ["--save_strategy", "steps", "--save_steps", "2", "--save_total_limit", "0", "--save_minutes", "1e-9"]
    monkeypatch.setattr(interruption, "MOST_TIME_SAVING", 1e9)
    tiny_run("--max_steps", "5", "--eval_split", "", *words)
    assert seen == [[1], [2], [2, 3], [2, 4], [2, 4, 5]]
    assert sorted(path.name for path in tmp_path.glob("checkpoint-*")) == ["checkpoint-2", "checkpoint-4", "checkpoint-5"]
