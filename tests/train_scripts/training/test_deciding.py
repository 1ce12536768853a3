"""Options that decide a run's result are those that a checkpoint stores and compares."""

import json
from dataclasses import dataclass, field

import pytest

from eomt.train_scripts.training.arguments import EomtTrainingArguments
from eomt.train_scripts.training.data_arguments import DataArguments
from eomt.train_scripts.training.deciding import INHERITED, LATER, Deciding, deciding_options
from eomt.train_scripts.training.model_arguments import ModelArguments
from eomt.train_scripts.training.recipe import parse_arguments

# What checkpoints have stored so far: a name more or less, and none of them can be resumed.
STORED = {
    *("learning_rate", "head_learning_rate", "layer_decay", "weight_decay", "max_grad_norm", "poly_power", "head_warmup"),
    *("encoder_warmup", "masking", "ema_decay", "minutes", "optim", "adam_beta1", "adam_beta2", "bf16", "fp16", "max_steps"),
    *("checkpoint", "timm_model", "frozen_blocks", "config", "data", "task", "train_split", "image_size", "min_scale", "max_scale"),
    *("color_jitter", "bad_samples"),
}


@dataclass
class Options:
    rate: Deciding[float | None] = field(default=0.5, metadata={"help": "decides"})
    shown: bool = field(default=False, metadata={"help": "does not"})


def test_an_option_says_by_its_type_that_it_decides():
    assert deciding_options([Options(rate=None, shown=True)]) == {"rate": None}


def test_parsed_options_are_compared_under_the_names_that_checkpoints_store(tmp_path):
    words = ["--data", "d", "--output_dir", str(tmp_path), "--learning_rate", "1e-3"]
    model_args, data_args, args = parse_arguments((ModelArguments, DataArguments, EomtTrainingArguments), words)
    options = deciding_options([args, model_args, data_args])
    assert options.keys() == STORED | LATER.keys() and {name: options[name] for name in LATER} == LATER  # by default
    assert options == json.loads(json.dumps(options))
    assert options["learning_rate"] == 1e-3 and options["optim"] == "adamw_torch_fused"


def test_a_folder_is_the_same_however_it_is_named(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    for data in ("data", "./data/", str(tmp_path / "data")):
        options = deciding_options([DataArguments(data=data, task="panoptic"), ModelArguments(timm_model="vit_small")])
        assert options["data"] == str((tmp_path / "data").resolve()) and options["timm_model"] == "vit_small"


@pytest.mark.parametrize("name", INHERITED)
def test_an_inherited_name_is_none_of_ours(name):
    """Else the option would say it twice."""
    assert not any(name in group.__annotations__ for group in (ModelArguments, DataArguments, EomtTrainingArguments))
