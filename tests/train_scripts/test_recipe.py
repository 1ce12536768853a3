"""Recipes are parsed like the command line and lose to it."""

import pytest

from eomt.train_scripts.arguments import DataArguments, EomtTrainingArguments, ModelArguments
from eomt.train_scripts.recipe import parse_arguments

CLASSES = (ModelArguments, DataArguments, EomtTrainingArguments)


@pytest.fixture
def recipe(tmp_path):
    def write(text):
        (tmp_path / "r.yaml").write_text(text)
        return ["--recipe", str(tmp_path / "r.yaml"), "--data", "d", "--output_dir", str(tmp_path)]

    return write


def test_values_have_the_types_of_their_fields_and_the_command_line_wins(recipe):
    words = recipe("config: {num_queries: 12}\nlearning_rate: 1e-3\ncolor_jitter: true\nmin_scale: 0.5\n")
    model, data, args = parse_arguments(CLASSES, [*words, "--min_scale", "0.7"])
    assert model.config_fields == {"num_queries": 12}
    assert (args.learning_rate, data.color_jitter, data.min_scale) == (1e-3, True, 0.7)


def test_an_unknown_key_is_named_with_the_nearest_one(recipe):
    with pytest.raises(ValueError, match=r"unknown option --learning_rat.*did you mean --learning_rate"):
        parse_arguments(CLASSES, recipe("learning_rat: 1e-3\n"))
    with pytest.raises(ValueError, match="the command line has the unknown option --lerning_rate"):
        parse_arguments(CLASSES, [*recipe("seed: 1\n"), "--lerning_rate", "1"])


def test_a_recipe_that_is_missing_or_no_mapping_is_named(recipe):
    with pytest.raises(FileNotFoundError, match="nowhere.yaml.*demo"):
        parse_arguments(CLASSES, ["--recipe", "nowhere.yaml", "--data", "d"])
    with pytest.raises(ValueError, match="must be a mapping"):
        parse_arguments(CLASSES, recipe("- 1\n"))


def test_accumulation_follows_from_the_total_batch_size(recipe):
    _, _, args = parse_arguments(CLASSES, [*recipe("total_batch_size: 12\n"), "--per_device_train_batch_size", "3"])
    assert args.gradient_accumulation_steps == 4
    with pytest.raises(ValueError, match="total_batch_size=12 must be a multiple of per_device_train_batch_size=5"):
        parse_arguments(CLASSES, [*recipe("total_batch_size: 12\n"), "--per_device_train_batch_size", "5"])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("masking: sometimes", "masking='sometimes'"),
        ("minutes: -1", "minutes=-1.0 must be positive"),
        ("config: '{'", "is not JSON"),
        ("min_scale: 3", "min_scale=3.0, max_scale=2.0"),
        ("checkpoint: a\ntimm_model: b", "give one start"),
    ],
)
def test_values_that_make_no_sense_are_refused(recipe, line, message):
    with pytest.raises(ValueError, match=message):
        parse_arguments(CLASSES, recipe(line))


def test_warm_ups_may_be_shares_or_steps(recipe):
    _, _, args = parse_arguments(CLASSES, recipe("head_warmup: 500\nencoder_warmup: 0.1\nmax_steps: 10000\n"))
    assert args.warmup_shares() == (0.05, 0.1)
    args.max_steps = 100
    with pytest.raises(ValueError, match="fill all 100 steps"):
        args.warmup_shares()
