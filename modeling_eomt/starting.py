"""What kind of program has imported the package."""

import re
import sys
from pathlib import Path

COMMANDS = re.compile(r"eomt(-\w+)?(-script)?")  # as the installation names them, on Windows with a suffix
SCRIPTS = "train_scripts"


def is_command() -> bool:
    """Whether this process runs a command of the package: `eomt train`, `python train_scripts/train.py`, or the same by `-m`."""
    program = Path(sys.argv[0]) if sys.argv else Path()
    if sys.argv[:1] == ["-m"]:  # as long as Python imports the parents of the module that it runs
        return sys.orig_argv[sys.orig_argv.index("-m") + 1].startswith(f"eomt.{SCRIPTS}.")
    return bool(COMMANDS.fullmatch(program.stem)) or program.suffix == ".py" and program.parent.name == SCRIPTS
