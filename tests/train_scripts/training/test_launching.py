"""Training in several processes from one: how many, and that what they say at their end is all that is said."""

import os
import signal
import subprocess
import sys
import time

import pytest

from eomt.train_scripts.training.launching import process_count

LAUNCH = "from eomt.train_scripts.training.launching import launch_training; launch_training({words}, batch_size={count})"


def start(words: list[str], count: int) -> subprocess.Popen:
    """A process that launches the training, in a group of its own as in a terminal."""
    code = f"import os; os.sched_getaffinity = lambda _: set(range({count}))\n" + LAUNCH.format(words=words, count=count)
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def test_as_many_processes_as_share_a_batch_evenly(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(5)))
    assert [process_count(size) for size in (8, 12, 7, 1)] == [4, 4, 1, 1]


@pytest.mark.skipif(sys.platform != "linux", reason="the number of cores is set as Linux tells it")
@pytest.mark.parametrize("count", [1, 2])
def test_a_training_that_fails_says_so_in_one_line_and_gives_its_exit_code(count):
    process = start(["--recipe", "demo", "--data", "nowhere"], count)
    printed, errors = process.communicate(timeout=200)
    assert process.returncode == 2 and not printed
    assert errors.startswith("error: data='nowhere' does not exist. Give a folder") and errors.count("\n") == 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the number of cores is set as Linux tells it")
def test_ctrl_c_lets_the_processes_save_and_ends_with_130(tiny_words, tmp_path):
    folder = tmp_path / "run"
    process = start([*tiny_words, "--output_dir", str(folder), "--max_steps", "100000", "--save_strategy", "steps",
                     "--save_steps", "1", "--save_total_limit", "1"], 2)  # fmt: skip
    until = time.monotonic() + 200
    while not list(folder.glob("checkpoint-*/whole.json")) and time.monotonic() < until and process.poll() is None:
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)
    printed, errors = process.communicate(timeout=200)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors and "death signal" not in errors
    assert "the same command goes on from there" in printed + errors
