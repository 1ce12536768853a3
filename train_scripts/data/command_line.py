"""One dataclass of options gives a command line, a function's arguments, and the documentation of both; wrong ones end in one line.

A field's `metadata` has `help`, `choices` where the values are few, and `default` where the command line alone has one: a call by
position needs a value for what comes before another required field.
"""

import argparse
import dataclasses
import difflib
import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn, TypeVar

from transformers import HfArgumentParser
from transformers.hf_argparser import string_to_bool

Options = TypeVar("Options")
Result = TypeVar("Result")


class HelpFormatter(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Keeps the lines of a description, shows the defaults that say something, and each option in one spelling."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        shown = not action.required and action.default not in (None, False, [])
        return super()._get_help_string(action) if shown else action.help

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if action.nargs == 0 or not action.option_strings:
            return super()._format_action_invocation(action)
        return f"{action.option_strings[0]} {self._format_args(action, self._get_default_metavar_for_optional(action))}"


class OptionParser(HfArgumentParser):
    """A parser of dataclasses whose errors are `ValueError`s, which `command` prints in one line."""

    def __init__(self, options: type | Sequence[type], **kwargs: Any):
        super().__init__(options, allow_abbrev=False, formatter_class=HelpFormatter, **kwargs)
        for action in self._actions:
            if action.type is string_to_bool and action.nargs is None:  # true, false or neither: HfArgumentParser wants a word
                action.nargs, action.const = "?", True
        if "--debug" not in self._option_string_actions:  # TrainingArguments has one of this name
            self.add_argument("--debug", action="store_true", help="show where an error comes from")

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message}; {self.prog} --help shows the options")

    def refuse_unknown(self, words: Iterable[str], source: str = "the command line") -> None:
        """Raises ValueError for the first option that doesn't exist, with the nearest one that does."""
        options = (word.split("=")[0] for word in words if word.startswith("--"))
        for option in (option for option in options if " " not in option):  # options in quotes are another option's value
            if option not in self._option_string_actions:
                near = difflib.get_close_matches(option, self._option_string_actions, n=1)
                hint = f"did you mean {near[0]}?" if near else "see --help"
                raise ValueError(f"{source} has the unknown option {option}; {hint}")


def parse_options(options: type[Options], argv: Sequence[str] | None, description: str | None) -> Options:
    """Parses a command line.

    Args:
        options: the dataclass.
        argv: the words after the program's name; those of this process by default.
        description: of the program, for `--help`.

    Raises:
        ValueError: an option is wrong, unknown or missing, or the dataclass refuses it.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    parser = OptionParser(options, description=description)
    for option in dataclasses.fields(options):
        if "default" in option.metadata:  # HfArgumentParser requires what the dataclass has no default for
            parser._option_string_actions[f"--{option.name}"].required = False
    parser.refuse_unknown(words)
    values = vars(parser.parse_args(words))
    return options(**{option.name: values[option.name] for option in dataclasses.fields(options)})


def takes_options(options: type[Options]) -> Callable[[Callable[[Options], Result]], Callable[..., Result]]:
    """Lets a function of a dataclass be called with the dataclass's fields, in their order or by name.

    Its signature, and the section `Args` of its docstring, are then those of the dataclass.
    """

    def decorate(function: Callable[[Options], Result]) -> Callable[..., Result]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Result:
            return function(options(*args, **kwargs))

        returns = inspect.signature(function).return_annotation
        call.__signature__ = inspect.signature(options).replace(return_annotation=returns)
        call.__doc__ = _with_arguments(inspect.getdoc(function) or "", options)
        return call

    return decorate


def _with_arguments(text: str, options: type) -> str:
    """A docstring with the fields' help, before the sections that follow arguments."""
    lines = [f"    {field.name}: {field.metadata['help']}" for field in dataclasses.fields(options)]
    head, section, rest = text.partition("\n\nReturns:\n")
    return "\n".join([f"{head}\n\nArgs:", *lines]) + section + rest
