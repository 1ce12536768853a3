"""A command's errors: one line, exit code 2, and the traceback where it is asked for."""

import os
import subprocess
import sys

import pytest
from huggingface_hub.errors import StrictDataclassError

from eomt.train_scripts.data.command import command, error_line, without_debug


def fail(error):
    @command
    def main(words):
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("size=3 must be even;\n  use 4"), "error: size=3 must be even; use 4"),
        (FileNotFoundError(2, "No such file or directory", "gone.json"), "error: gone.json: No such file or directory"),
        (OSError("no checkpoint"), "error: no checkpoint"),
        (FloatingPointError("step 3: not finite"), "error: step 3: not finite"),
        (ValueError(), "error: ValueError"),
    ],
)
def test_an_error_is_one_line_and_exit_code_2(error, line, capsys, monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(SystemExit) as ended:
        fail(error)(["--x"])
    assert ended.value.code == 2 and capsys.readouterr().err == f"{line}\n"
    with pytest.raises(type(error)):
        fail(error)(["--x", "--debug"])


def test_notes_and_the_cause_of_a_validators_error_are_in_the_line():
    error = ValueError("bad image.")
    error.add_note("Leave it out by skip.")
    assert error_line(error) == "error: bad image. Leave it out by skip."
    wrapped = StrictDataclassError("Class validation error for validator 'v'")
    wrapped.__cause__ = ValueError("image_size=100: use 96")
    assert error_line(wrapped) == "error: image_size=100: use 96"


def test_a_fault_of_the_program_keeps_its_traceback():
    with pytest.raises(RuntimeError, match="a fault"):
        fail(RuntimeError("a fault"))([])
    with pytest.raises(KeyError):
        fail(KeyError("a fault"))([])


def test_a_failed_command_below_has_said_why(capsys):
    with pytest.raises(SystemExit) as ended:
        fail(subprocess.CalledProcessError(3, ["train.py"]))([])
    assert ended.value.code == 3 and not capsys.readouterr().err


def test_the_words_reach_the_command_without_debug(monkeypatch):
    got = []
    monkeypatch.setattr(sys, "argv", ["x", "--debug", "--a", "1"])
    command(got.append)()
    command(got.append)(["--a", "--debug"])
    command(got.append)(["--debug", "underflow_overflow"])  # of TrainingArguments
    assert got == [["--a", "1"], ["--a"], ["--debug", "underflow_overflow"]]
    assert without_debug([]) == ([], False)


def test_of_several_processes_one_prints_and_all_end(tmp_path):
    code = (
        "from eomt.train_scripts.data.command import command\nimport os\n"
        "@command\ndef main(words):\n    raise ValueError('from ' + os.environ['RANK'])\nmain()"
    )
    env = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1", "TMPDIR": str(tmp_path)}
    start = [
        subprocess.Popen([sys.executable, "-c", code], env={**env, "RANK": str(rank)}, stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    errors = [process.communicate(timeout=120)[1] for process in start]
    assert [process.returncode for process in start] == [2, 2]
    assert "".join(errors) in ("error: from 0\n", "error: from 1\n")
