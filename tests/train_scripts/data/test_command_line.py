"""Options are defined once: the command line, a function's arguments and its documentation are those of one dataclass."""

import inspect
import re
from dataclasses import dataclass, field

import pytest

from eomt.train_scripts.data.command_line import parse_options, takes_options
from eomt.train_scripts.data.prepare_options import PrepareOptions
from eomt.train_scripts.data.scenes import SceneOptions
from eomt.train_scripts.evaluation.inference_options import PredictOptions, ScoreOptions
from eomt.train_scripts.evaluation.predicting import predict
from eomt.train_scripts.evaluation.scoring import score
from eomt.train_scripts.training.data_arguments import DataArguments
from eomt.train_scripts.training.model_arguments import ModelArguments


@dataclass
class Options:
    """Of a test."""

    source: str = field(metadata={"help": "where from"})
    form: str = field(default="round", metadata={"help": "of it", "choices": ["round", "square"]})
    sizes: list[int] = field(default_factory=list, metadata={"help": "all of them"})
    loud: bool = field(default=False, metadata={"help": "whether to shout"})

    def __post_init__(self):
        if min(self.sizes, default=1) < 1:
            raise ValueError(f"sizes={self.sizes} must be positive")


@takes_options(Options)
def describe(options: Options) -> str:
    """Describes something.

    Returns:
        A word.
    """
    return f"{options.source} {options.form} {options.sizes} {options.loud}"


def test_a_function_takes_the_fields_by_place_and_by_name():
    assert describe("here", "square", loud=True) == "here square [] True"
    assert list(inspect.signature(describe).parameters) == ["source", "form", "sizes", "loud"]
    assert inspect.signature(describe).return_annotation is str
    with pytest.raises(TypeError, match="colour"):
        describe("here", colour="red")
    with pytest.raises(ValueError, match=r"sizes=\[0\] must be positive"):
        describe("here", sizes=[0])


def test_the_command_line_alone_may_have_a_default():
    @dataclass
    class Pair:
        """Of which both are needed in a call."""

        first: str = field(metadata={"help": "optional on the command line", "default": "a"})
        second: int = field(metadata={"help": "needed"})

    assert parse_options(Pair, ["--second", "2"], None) == Pair("a", 2) == parse_options(Pair, ["--second=2", "--first=a"], None)
    with pytest.raises(ValueError, match="--second"):
        parse_options(Pair, ["--first", "b"], None)


@pytest.mark.parametrize(("words", "value"), [([], None), (["--sure"], True), (["--sure", "true"], True), (["--sure=no"], False)])
def test_what_may_be_true_false_or_neither(words, value):
    @dataclass
    class Guess:
        """Of a test."""

        sure: bool | None = field(default=None, metadata={"help": "by default who knows"})
        name: str = field(default="", metadata={"help": "of it"})

    assert parse_options(Guess, [*words, "--name", "x"], None) == Guess(value, "x")


def test_its_docstring_has_the_help_of_the_fields_before_what_it_returns():
    text = inspect.getdoc(describe)
    assert text.startswith("Describes something.\n\nArgs:\n    source: where from\n    form: of it\n")
    assert text.endswith("loud: whether to shout\n\nReturns:\n    A word.")


def test_the_command_line_has_the_same_options(capsys):
    words = ["--source", "here", "--sizes", "1", "2", "--loud"]
    assert parse_options(Options, words, "Tests.") == Options("here", sizes=[1, 2], loud=True)
    for wrong, said in (
        (["--sizes", "1"], "--source"),
        (["--source", "x", "--form", "flat"], "invalid choice: 'flat'"),
        (["--source", "x", "--size", "3"], "unknown option --size; did you mean --sizes?"),
        (["--source", "x", "--sizes", "0"], "sizes=[0] must be positive"),
    ):
        with pytest.raises(ValueError, match=re.escape(said)):
            parse_options(Options, wrong, "Tests.")
    with pytest.raises(SystemExit):
        parse_options(Options, ["--help"], "Tests.\n\n    shout --source x\n")
    shown = capsys.readouterr().out
    assert "\nTests.\n\n    shout --source x\n\n" in shown and "{round,square}" in shown  # lines stay as they are
    assert "of it (default: round)" in shown and "whether to shout\n" in shown and "where from\n" in shown


@pytest.mark.parametrize(
    "options", [PrepareOptions, SceneOptions, ScoreOptions, PredictOptions, DataArguments, ModelArguments], ids=lambda o: o.__name__
)
def test_every_option_is_documented(options):
    assert options.__doc__ and all(entry.metadata.get("help") for entry in options.__dataclass_fields__.values() if entry.init)


def test_the_first_fields_of_the_commands_functions_stay_in_their_order():
    """Programs call them by position."""
    first = {score: ["checkpoint", "data", "split", "task"], predict: ["checkpoint", "images", "task", "output", "split", "column"]}
    for function, names in first.items():
        parameters = list(inspect.signature(function).parameters)
        assert parameters[: len(names) + 2] == [*names, "batch_size", "threshold"]


def test_the_commands_functions_are_documented_by_their_options():
    for function, options in ((score, ScoreOptions), (predict, PredictOptions)):
        assert list(inspect.signature(function).parameters) == list(options.__dataclass_fields__)
        assert "Args:\n    checkpoint: EoMT checkpoint, " in inspect.getdoc(function)
