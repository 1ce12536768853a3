"""What kind of program has imported the package."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

COMMANDS = re.compile(r"eomt(-\w+)?(-script)?")  # as the installation names them, on Windows with a suffix
SCRIPTS = "train_scripts"
MODULE = re.compile(r"-[bBdEhiIOPqRsStuvVx]*m(.*)")  # `-m` of Python, also behind options without a value and before the name


def is_command() -> bool:
    """Whether this process runs a command of the package: `eomt train`, `python train_scripts/train.py`, or the same by `-m`."""
    program = Path(sys.argv[0]) if sys.argv else Path()
    if sys.argv[:1] == ["-m"]:  # as long as Python imports the parents of the module that it runs
        return _module(sys.orig_argv[1:]).startswith(f"eomt.{SCRIPTS}.")
    return bool(COMMANDS.fullmatch(program.stem)) or program.suffix == ".py" and program.parent.name == SCRIPTS


def _module(words: Sequence[str]) -> str:
    """The module that Python's own arguments name by `-m`; "" where they name none."""
    for word, following in zip(words, [*words[1:], ""], strict=False):
        if match := MODULE.fullmatch(word):
            return match[1] or following
    return ""
