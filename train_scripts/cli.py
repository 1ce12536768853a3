"""Fine-tunes and runs EoMT: one command with subcommands.

eomt prepare --images photos --annotations masks --out data/street ...
eomt train --recipe semantic --data data/street --output_dir outputs/street
"""

import argparse
import importlib
import sys
from collections.abc import Sequence

from eomt.train_scripts.data.command import command
from eomt.train_scripts.data.process_end import orderly_end

COMMANDS = {
    "prepare": "turns images and annotations into a dataset",
    "train": "trains a model on a dataset",
    "score": "scores a model on a dataset",
    "predict": "segments images",
    "export": "exports a model to ONNX, OpenVINO, ExecuTorch, PyTorch or a page in the browser",
    "serve": "serves a model as an app in the browser",
    "bravo": "scores predictions and their confidence on the BRAVO challenge",
    "convert": "turns checkpoints of the authors' repository into this format, or back",
    "demo": "trains a small model on scenes that it makes, scores and draws it, in 6 to 9 minutes",
}
HELP = "\n".join(f"  {name:<9} {what}" for name, what in COMMANDS.items())


def main(argv: Sequence[str] | None = None) -> None:
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] in COMMANDS:
        sys.argv = [f"eomt {words[0]}", *words[1:]]  # by which the command calls itself in its help
        with orderly_end():  # of Ctrl-C, while modules are loaded
            script = importlib.import_module(f"eomt.train_scripts.{words[0]}")
        script.main()
    else:
        show_commands(words)


@command
def show_commands(words: Sequence[str]) -> None:
    """The help of this command."""
    parser = argparse.ArgumentParser("eomt", "eomt COMMAND [options]", formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.description = f"commands:\n{HELP}\n\neomt COMMAND --help shows the options of a command."
    if words and words[0] not in ("-h", "--help"):
        raise ValueError(f"eomt has no command {words[0]!r}; choose one of {', '.join(COMMANDS)}")
    parser.print_help()


if __name__ == "__main__":
    main()
