"""One dataclass of options gives a command line, a function's arguments, and the documentation of both.

A field's `metadata` has `help`, `choices` where the values are few, and `default` where the command line alone has one: a call by
position needs a value for what comes before another required field.
"""

import argparse
import dataclasses
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from transformers import HfArgumentParser

Options = TypeVar("Options")
Result = TypeVar("Result")


class HelpFormatter(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Keeps the lines of a description, and shows the defaults that say something."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        shown = not action.required and action.default not in (None, False, [])
        return super()._get_help_string(action) if shown else action.help


def parse_options(options: type[Options], argv: Sequence[str] | None, description: str | None) -> Options:
    """Parses a command line.

    What the dataclass refuses with a ValueError ends the program as any wrong option does: with one line, and exit code 2.

    Args:
        options: the dataclass.
        argv: the words after the program's name; those of this process by default.
        description: of the program, for `--help`.
    """
    parser = HfArgumentParser(options, description=description, allow_abbrev=False, formatter_class=HelpFormatter)
    for option in dataclasses.fields(options):
        if "default" in option.metadata:  # HfArgumentParser requires what the dataclass has no default for
            parser._option_string_actions[f"--{option.name}"].required = False
    values = parser.parse_args(argv)
    try:
        return options(**vars(values))
    except ValueError as error:
        parser.error(str(error))


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
