"""Layer-wise decay as a function of names."""

from pathlib import Path

import pytest
import torch
from torch import nn

from eomt import EomtConfig, EomtForUniversalSegmentation
from eomt.configuration.architectures import LADDERS
from eomt.train_scripts.training.arguments import EomtTrainingArguments
from eomt.train_scripts.training.parameter_groups import GroupKey, group_parameters, optimizer_groups, rate_groups


def blocks_above(name: str) -> int | None:
    """Of an encoder of 12 blocks with the parameters `block 0` to `block 11`."""
    return 11 - int(name.removeprefix("block ")) if name.startswith("block ") else None


def test_rates_are_those_of_the_official_vit_small():
    """The first of 12 blocks: 1e-4 x .8 ** 11 = 8.59e-6."""
    parameters = {name: nn.Parameter(torch.ones(1)) for name in ("block 0", "block 10", "block 11", "head")}
    groups = group_parameters(parameters.items(), blocks_above, 1e-4, 3e-4, 0.8)
    peaks = {next(name for name in parameters if parameters[name] is group[0]): key.peak for key, group in groups.items()}
    assert peaks == pytest.approx({"block 0": 8.59e-6, "block 10": 0.8e-4, "block 11": 1e-4, "head": 3e-4}, rel=1e-3)


def test_the_last_blocks_may_keep_the_full_rate_and_the_others_theirs():
    """Of 12 blocks with 3 undecayed: .8 ** 3 in block 8, .8 ** 11 in block 0, as the official recipe for DINOv3 has it."""
    parameters = {f"block {index}": nn.Parameter(torch.ones(1)) for index in range(12)}
    groups = group_parameters(parameters.items(), blocks_above, 2e-4, 2e-4, 0.8, undecayed_blocks=3)
    peaks = {id(parameter): key.peak for key, group in groups.items() for parameter in group}
    expected = [2e-4 * 0.8 ** (11 - index) for index in range(9)] + [2e-4] * 3
    assert [peaks[id(parameter)] for parameter in parameters.values()] == pytest.approx(expected)


@pytest.mark.every_encoder
@pytest.mark.parametrize(("undecayed", "peaks"), [(None, [1, 2, 4, 8]), (0, [1, 2, 4, 8]), (-1, [1, 2, 8, 8]), (9, [8, 8, 8, 8])])
def test_a_run_keeps_the_rate_of_the_blocks_with_queries(tiny_model, tmp_path, undecayed, peaks):
    assert peaks_of_blocks(tiny_model(), tmp_path, undecayed) == pytest.approx(peaks)


@pytest.mark.parametrize("model_type", [known.model_type for known in LADDERS])
@pytest.mark.parametrize(("undecayed", "peaks"), [(-1, [1, 2, 4, 8]), (2, [1, 2, 8, 8])])
def test_rows_of_table_1_have_no_blocks_with_queries(tiny_model, tmp_path, undecayed, peaks):
    assert peaks_of_blocks(tiny_model(row=3), tmp_path, undecayed) == pytest.approx(peaks)


def peaks_of_blocks(model: nn.Module, folder: Path, undecayed: int | None) -> list[float]:
    """Of four blocks, where the last learns at 8, each other at half of the next, and the heads at 3."""
    args = EomtTrainingArguments(
        str(folder), learning_rate=8.0, head_learning_rate=3.0, layer_decay=0.5, undecayed_blocks=undecayed
    )
    groups = rate_groups(model, args, model.named_parameters())
    peaks = {id(parameter): key.peak for key, group in groups.items() for parameter in group}
    assert peaks[id(model.class_predictor.weight)] == 3 and peaks[id(model.layernorm.weight)] == 8
    return [peaks[id(layer.norm1.weight)] for layer in model.layers]


def test_every_trainable_parameter_is_in_exactly_one_group():
    model = EomtForUniversalSegmentation(EomtConfig(hidden_size=32, num_hidden_layers=3, num_attention_heads=2, num_blocks=2))
    model.layers[0].norm1.weight.requires_grad_(False)
    groups = group_parameters(model.named_parameters(), model.blocks_above, 1e-4, 3e-4, 0.5)
    grouped = [parameter for parameters in groups.values() for parameter in parameters]
    assert len({id(parameter) for parameter in grouped}) == len(grouped)
    assert {id(p) for p in grouped} == {id(p) for p in model.parameters() if p.requires_grad and p.numel()}
    assert set(groups) == {
        GroupKey(2, 2.5e-5), GroupKey(1, 5e-5), GroupKey(0, 1e-4), GroupKey(None, 3e-4)
    }  # fmt: skip


@pytest.mark.parametrize(("decay", "undecayed"), [(0.8, 0), (1.0, 0), (1.25, 0), (0.8, 2)])
def test_groups_and_their_order_are_the_same_whatever_the_rates(decay, undecayed):
    """So that an optimizer's state, which goes by position, can be loaded."""
    parameters = {name: nn.Parameter(torch.ones(1)) for name in ("head", "block 9", "block 11", "block 10")}
    groups = optimizer_groups(group_parameters(parameters.items(), blocks_above, 1e-4, 1e-4, decay, undecayed))
    names = [next(name for name in parameters if parameters[name] is group["params"][0]) for group in groups]
    assert names == ["block 11", "block 10", "block 9", "head"] and [group["encoder"] for group in groups] == [True] * 3 + [False]
