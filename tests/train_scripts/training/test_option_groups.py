"""The help of a training run: what a user needs, in groups, and all of it on request."""

import pytest

from eomt.train_scripts.training.arguments import EomtTrainingArguments
from eomt.train_scripts.training.data_arguments import DataArguments
from eomt.train_scripts.training.model_arguments import ModelArguments
from eomt.train_scripts.training.option_groups import INHERITED, shown_options
from eomt.train_scripts.training.recipe import parse_arguments

CLASSES = (ModelArguments, DataArguments, EomtTrainingArguments)


def help_text(word, capsys):
    with pytest.raises(SystemExit) as ended:
        parse_arguments(CLASSES, [word])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_help_shows_some_options_in_groups_and_help_all_every_one(capsys):
    short, whole = help_text("--help", capsys), help_text("--help_all", capsys)
    shown = [line.split()[0] for line in short.splitlines() if line.startswith("  --")]
    assert 20 <= len(shown) <= 33 and shown[0] == "--recipe" and len(short.splitlines()) < 130
    assert "--help_all shows all" in short and "--layer_decay" not in short
    for title in ("where the model starts:", "data and task:", "training:", "results:"):
        assert f"\n{title}\n" in short
    assert all(option in whole for option in ("--layer_decay", "--adam_beta1", *shown))


def test_inherited_options_that_are_shown_exist():
    known = set(EomtTrainingArguments.__dataclass_fields__)
    assert {name for names in INHERITED.values() for name in names} <= known
    assert shown_options(CLASSES)["data"] != shown_options(CLASSES)["output_dir"]
