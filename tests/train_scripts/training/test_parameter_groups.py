"""Layer-wise decay as a function of names."""

import pytest
import torch
from torch import nn

from eomt import EomtConfig, EomtForUniversalSegmentation
from eomt.train_scripts.training.parameter_groups import GroupKey, group_parameters


def blocks_above(name: str) -> int | None:
    """Of an encoder of 12 blocks with the parameters `block 0` to `block 11`."""
    return 11 - int(name.removeprefix("block ")) if name.startswith("block ") else None


def test_rates_are_those_of_the_official_vit_small():
    """The first of 12 blocks: 1e-4 x .8 ** 11 = 8.59e-6."""
    parameters = {name: nn.Parameter(torch.ones(1)) for name in ("block 0", "block 10", "block 11", "head")}
    groups = group_parameters(parameters.items(), blocks_above, 1e-4, 3e-4, 0.8)
    peaks = {next(name for name in parameters if parameters[name] is group[0]): key.peak for key, group in groups.items()}
    assert peaks == pytest.approx({"block 0": 8.59e-6, "block 10": 0.8e-4, "block 11": 1e-4, "head": 3e-4}, rel=1e-3)


def test_every_trainable_parameter_is_in_exactly_one_group():
    model = EomtForUniversalSegmentation(EomtConfig(hidden_size=32, num_hidden_layers=3, num_attention_heads=2, num_blocks=2))
    model.layers[0].norm1.weight.requires_grad_(False)
    groups = group_parameters(model.named_parameters(), model.blocks_above, 1e-4, 3e-4, 0.5)
    grouped = [parameter for parameters in groups.values() for parameter in parameters]
    assert len({id(parameter) for parameter in grouped}) == len(grouped)
    assert {id(p) for p in grouped} == {id(p) for p in model.parameters() if p.requires_grad and p.numel()}
    assert set(groups) == {
        GroupKey(2.5e-5, True), GroupKey(5e-5, True), GroupKey(1e-4, True), GroupKey(3e-4, False)
    }  # fmt: skip
