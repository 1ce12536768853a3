"""The progress of a training, by steps and by the clock."""

from types import SimpleNamespace

import pytest
from transformers import TrainerControl, TrainerState

from eomt.train_scripts.training import progress
from eomt.train_scripts.training.progress import TrainingProgress

ARGS = SimpleNamespace(device="cpu", eval_strategy="steps", save_strategy="steps", eval_steps=0.5, save_steps=0.3)


@pytest.fixture
def clock(monkeypatch):
    """`clock[0]` is the time."""
    now = [100.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def take_step(made, state) -> TrainerControl:
    """As Trainer takes one: the progress of the coming step is known before the step counts."""
    control = TrainerControl()
    made.on_optimizer_step(ARGS, state, control)
    state.global_step += 1
    made.on_step_end(ARGS, state, control)
    return control


def test_by_steps_it_is_their_share():
    made, state = TrainingProgress(), TrainerState(max_steps=4, global_step=1)
    made.on_train_begin(ARGS, state, None)
    values, stops = [made.value], []
    for _ in range(3):
        stops.append(take_step(made, state).should_training_stop)
        values.append(made.value)
    assert values == [0.25, 0.5, 0.75, 1.0] and stops == [False, False, True]


def test_by_the_clock_it_is_the_time_spent_and_pauses_do_not_count(clock):
    made, state = TrainingProgress(minutes=0.1), TrainerState(max_steps=100)
    made.on_train_begin(ARGS, state, None)
    seen = []
    for _ in range(4):
        clock[0] += 1.5
        control = take_step(made, state)
        seen.append((made.value, control.should_save, control.should_evaluate, control.should_training_stop))
        with made.paused():
            clock[0] += 50
    assert seen == [
        (0.25, False, False, False),
        (0.5, True, True, False),
        (0.75, True, False, False),
        (1.0, True, True, True),  # the last step, whatever the shares
    ]
    made.on_train_end(ARGS, state, None)
    assert made.total == 6.0


def test_a_resumed_budget_goes_on_and_another_training_begins_anew(clock):
    made, state = TrainingProgress(minutes=0.1), TrainerState(max_steps=100)
    made.resume(3.0)
    made.on_train_begin(ARGS, state, None)
    assert made.value == 0.5
    clock[0] += 1.5
    assert made.spent == 4.5
    made.on_train_end(ARGS, state, None)
    assert made.total == 4.5
    made.on_train_begin(ARGS, state, None)
    assert made.value == 0.0
