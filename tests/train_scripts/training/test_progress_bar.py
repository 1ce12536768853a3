"""What a run shows while it goes: one bar for the training, one for each evaluation, a line of scores after it."""

import re

import pytest
from transformers import TrainerState
from transformers.utils import logging

from eomt.train_scripts.training.arguments import EomtTrainingArguments
from eomt.train_scripts.training.progress import TrainingProgress
from eomt.train_scripts.training.progress_bar import TrainingBar


def test_bars_say_what_is_done_and_how_long_it_takes(tiny_run, capfd):
    words = ["--max_steps", "4", "--eval_strategy", "steps", "--eval_steps", "2", "--disable_tqdm", "false"]
    tiny_run(*words, "--per_device_eval_batch_size", "1")
    shown = capfd.readouterr()
    bars = re.findall(r"training: +(\d+)%\|.*?\| 00:\d\d<(?:00:\d\d|\?)(, loss=\d+\.\d\d, step=\d+)?", shown.err)
    assert bars[0] == ("0", "") and bars[-1][0] == "100"
    assert any(note.startswith(", loss=") for _, note in bars)
    assert re.search(r"predicting: +\d+%\|.*\| 3/3 \[00:\d\d<00:00", shown.err)
    lines = re.findall(r"step (\d): eval_pq \d+\.\d, eval_sq \d+\.\d, eval_rq \d+\.\d$", shown.out, re.MULTILINE)
    assert lines == ["2", "4", "4"]  # the last is of the finished model


def test_bars_are_shown_also_where_transformers_prints_errors_alone_as_in_a_command(tmp_path):
    """transformers takes its own verbosity for a wish to have no bars."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        assert not EomtTrainingArguments(str(tmp_path)).disable_tqdm
        assert EomtTrainingArguments(str(tmp_path), disable_tqdm=True).disable_tqdm
    finally:
        logging.set_verbosity(before)


@pytest.mark.parametrize("first", [True, False])
def test_only_the_first_process_shows_anything(first, capfd):
    bar, state = TrainingBar(TrainingProgress()), TrainerState(is_world_process_zero=first)
    bar.on_train_begin(None, state, None)
    bar.on_step_end(None, state, None)
    bar.on_log(None, state, None, logs={"loss": 1.0})
    scores = {"eval_miou": 75.25, "eval_pq_things": 1.0, "eval_ap_small": 2.0, "eval_ap50": 3.0, "eval_ap75": -1.0}
    bar.on_evaluate(None, state, None, metrics=scores)
    bar.on_train_end(None, state, None)
    shown = capfd.readouterr()
    assert ("training" in shown.err) == first
    assert shown.out == ("step 0: eval_miou 75.2, eval_ap50 3.0\n" if first else "")
