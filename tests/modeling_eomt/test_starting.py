"""Which of Python's own arguments are told to run a command of the package, before Python has found its module."""

import sys

import pytest

from eomt.starting import is_command

COMMANDS = (
    "-m eomt.train_scripts.train --lora",
    "-um eomt.train_scripts.train",
    "-Im eomt.train_scripts.train",
    "-meomt.train_scripts.train",
    "-bbumeomt.train_scripts.train",
    "-X importtime -W error -m eomt.train_scripts.train",
    "-Ximporttime -Wmodule -uWmodule -m eomt.train_scripts.train",
    "--check-hash-based-pycs default -m eomt.train_scripts.train",
)
OTHERS = (
    "-m pytest",
    "-um package.module",
    "-Im package.module",
    "-mpackage.module",
    "-m package.module -m eomt.train_scripts.train",
    "-m eomt.image_processing.pixels",
    "-m",
    "-um",
    "",
)


@pytest.mark.parametrize("words", (*COMMANDS, *OTHERS))
def test_modules_are_found_however_m_is_written(words, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["-m", "--some", "option"])
    monkeypatch.setattr(sys, "orig_argv", ["python", *words.split()])
    assert is_command() is (words in COMMANDS)
