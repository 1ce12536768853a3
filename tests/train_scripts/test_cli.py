"""The command `eomt`: its help, its subcommands, and a name that it doesn't have."""

import sys

import pytest

from eomt.train_scripts.cli import COMMANDS, main


def test_help_names_the_commands_in_a_few_lines(capsys):
    for words in ([], ["--help"]):
        main(words)
        shown = capsys.readouterr().out
        assert all(f"\n  {name} " in shown for name in COMMANDS) and len(shown.splitlines()) < 20


@pytest.mark.parametrize("name", COMMANDS)
def test_a_subcommand_is_the_script_of_that_name(name, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["pytest"])
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0 and capsys.readouterr().out.startswith(f"usage: eomt {name} ")
    with pytest.raises(ValueError, match="unknown option --no_such"):
        main([name, "--no_such", "1", "--debug"])


def test_an_unknown_command_is_named(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["trian"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"error: eomt has no command 'trian'; choose one of {', '.join(COMMANDS)}\n"
