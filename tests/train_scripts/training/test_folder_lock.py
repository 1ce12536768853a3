"""One run at a time in an output folder."""

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
from filelock import FileLock

from eomt.train_scripts.training import folder_lock
from eomt.train_scripts.training.folder_lock import only_run
from eomt.train_scripts.training.used_folder import LOCK, RUN

KILLED = """
import os, signal, time
from types import SimpleNamespace
from eomt.train_scripts.training.folder_lock import only_run
with only_run(SimpleNamespace(output_dir={folder!r}, process_index=0)):
    if os.fork() == 0:  # as a DataLoader worker, which notices only later
        time.sleep(2)
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def args(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_lock, "SECONDS", 0.1)
    return SimpleNamespace(output_dir=str(tmp_path / "run"), process_index=0)


def test_a_second_run_is_refused_until_the_first_ends(args, tmp_path):
    with only_run(args):
        (tmp_path / "run" / RUN).touch()
        with pytest.raises(
            ValueError, match=r"output_dir='.*run' is in use by another run; wait until it ends, stop it, or choose"
        ):
            with only_run(args):
                pytest.fail("two runs use one folder")
    with only_run(args):
        assert (tmp_path / "run" / LOCK).exists()
    assert os.listdir(tmp_path / "run") == [RUN]


def test_a_training_is_refused_where_another_is_at_work(args, tiny_run, tmp_path):
    with only_run(args), pytest.raises(ValueError, match="is in use by another run"):
        tiny_run("--output_dir", args.output_dir)


def test_a_run_that_fails_lets_go_and_leaves_no_folder(args, tmp_path):
    with pytest.raises(ValueError, match="wrong option"):
        with only_run(args):
            raise ValueError("wrong option")
    assert not (tmp_path / "run").exists()
    with only_run(args):
        pass


def test_a_folder_of_something_else_is_refused_and_not_touched(args, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").touch()
    with pytest.raises(ValueError, match=r"holds something else than a run, such as thesis.tex"), only_run(args):
        pytest.fail("entered")
    assert os.listdir(tmp_path / "run") == ["thesis.tex"]


def test_a_killed_run_keeps_nobody_out(args, tmp_path, monkeypatch):
    monkeypatch.setattr(folder_lock, "SECONDS", 10)
    process = subprocess.run([sys.executable, "-c", KILLED.format(folder=args.output_dir)], timeout=120)
    assert process.returncode == -signal.SIGKILL and os.listdir(args.output_dir) == [LOCK]
    with only_run(args):
        pass
    assert os.listdir(args.output_dir) == []


@pytest.mark.parametrize("error", [NotImplementedError("no flock"), OSError(37, "No locks available")])
def test_without_locks_of_the_file_system_a_run_says_so_and_begins(args, tmp_path, monkeypatch, caplog, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(FileLock, "acquire", fail)
    with only_run(args):
        pass
    assert f"run' can't be locked ({error}): see that no other run uses it" in caplog.text


def test_other_processes_get_the_refusal_and_hold_no_lock(args, tmp_path, monkeypatch):
    args.process_index = 1
    with only_run(args):
        assert not (tmp_path / "run").exists()
    monkeypatch.setattr(folder_lock, "broadcast_object_list", lambda objects: objects.__setitem__(0, OSError("disk is full")))
    with pytest.raises(OSError, match="disk is full"), only_run(args):
        pytest.fail("entered")
