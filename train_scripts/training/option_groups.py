"""Which options of a training run `--help` shows, in groups; `--help_all` shows every one.

An option says so itself, where it is defined, by its type: `data: DataOption[str] = field(...)`. As with `Deciding`, the
metadata of a dataclass field can't hold it.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from eomt.train_scripts.data.command_line import OptionParser

T = TypeVar("T")


@dataclass(frozen=True)
class HelpGroup:
    """A group of options in `--help`."""

    title: str


START = HelpGroup("where the model starts")
DATA = HelpGroup("data and task")
TRAINING = HelpGroup("training")
OUTPUT = HelpGroup("results")
StartOption, DataOption = Annotated[T, START], Annotated[T, DATA]
TrainingOption, OutputOption = Annotated[T, TRAINING], Annotated[T, OUTPUT]

# Options of transformers' TrainingArguments that are shown too. Those that this package redefines say it by their type.
INHERITED = {
    TRAINING: ("max_steps", "bf16", "activation_checkpointing", "seed"),
    OUTPUT: ("eval_strategy", "eval_steps", "save_strategy", "save_steps", "push_to_hub"),
}


class TrainingParser(OptionParser):
    """The parser of a training run's options and of `--recipe`.

    Args:
        options: dataclasses, such as `EomtTrainingArguments`.
    """

    def __init__(self, options: Sequence[type]):
        super().__init__(options, usage="%(prog)s --recipe NAME --data FOLDER --output_dir FOLDER [options]")
        self.add_argument("--recipe", help="YAML file of options, or a bundled recipe, such as panoptic; other options win over it")
        self.add_argument("--help_all", "--help-all", action=_HelpOnAll, help="show every option")
        self.groups = {"recipe": START} | shown_options(options)

    def format_help(self) -> str:
        """The options that a user needs, in groups."""
        formatter = self._get_formatter()
        formatter.add_usage(self.usage, [], [])
        for group in (START, DATA, TRAINING, OUTPUT):
            formatter.start_section(group.title)
            shown = [action for action in self._actions if self.groups.get(action.dest) == group]
            formatter.add_arguments(sorted(shown, key=lambda action: action.dest != "recipe"))
            formatter.end_section()
        count = len({action.dest for action in self._actions})
        formatter.add_text(f"--help_all shows all {count} options. --debug shows where an error comes from.")
        return formatter.format_help()

    def print_all(self) -> None:
        """Prints the help of every option."""
        self._print_message(super().format_help(), sys.stdout)


class _HelpOnAll(argparse._HelpAction):
    def __call__(self, parser: TrainingParser, *_: Any) -> None:
        parser.print_all()
        parser.exit()


def shown_options(options: Sequence[type]) -> dict[str, HelpGroup]:
    """{option: group} of the options that `--help` shows."""
    hints = {name: hint for group in options for name, hint in get_type_hints(group, include_extras=True).items()}
    inherited = {name: group for group, names in INHERITED.items() for name in names}
    return inherited | {
        name: mark
        for name, hint in hints.items()
        if get_origin(hint) is Annotated
        for mark in get_args(hint)[1:]
        if isinstance(mark, HelpGroup)
    }
