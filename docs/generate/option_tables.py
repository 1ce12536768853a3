"""Tables of the commands' options, from the parsers that the commands use.

A script is asked for its help, and its parser is taken before it is printed. So the tables show what `--help` shows, whether the
options are fields of dataclasses or calls of `add_argument`.
"""

import argparse
import html
import importlib
import sys
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from unittest.mock import patch


class _Found(BaseException):
    """Carries a parser out of a script."""


def parser_of(main: Callable[[], None]) -> argparse.ArgumentParser:
    """The parser of a script, taken when it would print its help.

    Args:
        main: the script's function without arguments, which reads `sys.argv`.

    Raises:
        LookupError: the script ends without printing help.
    """

    def take(parser: argparse.ArgumentParser, file: object = None) -> None:
        raise _Found(parser)

    with patch.object(argparse.ArgumentParser, "print_help", take), patch.object(sys, "argv", ["script", "--help"]):
        try:
            main()
        except _Found as found:
            return found.args[0]
    raise LookupError(f"{main.__module__}.main printed no help")


def script_parser(script: str) -> argparse.ArgumentParser:
    """The parser of `train_scripts/<script>.py`."""
    return parser_of(importlib.import_module(f"eomt.train_scripts.{script}").main)


def option_table(script: str, group: str = "") -> str:
    """A table of options with defaults and help.

    Args:
        script: name of a file of `train_scripts/`, without suffix.
        group: a dataclass the script imports: its fields, without those it inherits unchanged. A name with `+` in front gives the
            inherited ones instead. All options by default.

    Raises:
        ValueError: the script has no such dataclass.
    """
    actions = [action for action in script_parser(script)._actions if not isinstance(action, argparse._HelpAction)]
    if group:
        names = _own_fields(script, group.removeprefix("+"), inherited=group.startswith("+"))
        actions = [action for action in actions if action.dest in names]
    seen, rows = set(), []
    for action in actions:
        if action.dest not in seen:  # a switch that is on by default has a second option, `--no_x`
            seen.add(action.dest)
            rows.append(f"| `{action.option_strings[0]}` | {_default(action)} | {_help(action)} |")
    return "\n".join(["| option | default | what it does |", "| --- | --- | --- |", *rows])


def _own_fields(script: str, group: str, inherited: bool) -> set[str]:
    """The fields that a dataclass defines itself, or those that it inherits unchanged."""
    options = getattr(importlib.import_module(f"eomt.train_scripts.{script}"), group, None)
    if not is_dataclass(options):
        raise ValueError(f"options {script} {group}: eomt.train_scripts.{script} imports no dataclass {group}")
    own = set(vars(options).get("__annotations__", {}))
    return {field.name for field in fields(options)} - own if inherited else own


def _default(action: argparse.Action) -> str:
    if action.required:
        return "required"
    if action.default in (None, [], "", argparse.SUPPRESS):
        return ""
    value = f"{action.default:.5g}" if isinstance(action.default, float) else _words(action.default)
    return f"`{value}`"


def _words(value: object) -> str:
    value = getattr(value, "value", value)  # of an enumeration
    return " ".join(map(_words, value)) if isinstance(value, list | tuple) else str(value)


def _help(action: argparse.Action) -> str:
    """The help in a cell, with the choices if it doesn't name them."""
    text = " ".join((action.help or "").replace("%%", "%").split())
    choices = _choices(action.choices or ())
    if choices and not all(choice in text for choice in choices):
        text += f"{'; ' if text else ''}one of {', '.join(choices)}"
    return html.escape(text, quote=False).replace("|", "\\|")


def _choices(choices: Iterable[object]) -> list[str]:
    return [_words(choice) for choice in choices]
