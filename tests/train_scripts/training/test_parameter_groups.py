"""Layer-wise decay as a function of names."""

import pytest

from eomt import EomtConfig, EomtForUniversalSegmentation
from eomt.train_scripts.training.parameter_groups import GroupKey, group_parameters, layer_decay_factor


def test_factors_are_those_of_the_official_vit_small():
    """Block 0 and the embeddings of 12 blocks: 1e-4 x .8 ** 11 = 8.59e-6."""
    for name in ("layers.0.norm1.weight", "embeddings.cls_token"):
        assert 1e-4 * layer_decay_factor(name, 12, 0.8) == pytest.approx(8.59e-6, rel=1e-3)
    for name in ("layers.11.mlp.fc1.weight", "layernorm.weight", "query.weight", "class_predictor.bias", "mask_head.fc1.weight"):
        assert layer_decay_factor(name, 12, 0.8) == 1


def test_every_trainable_parameter_is_in_exactly_one_group():
    model = EomtForUniversalSegmentation(EomtConfig(hidden_size=32, num_hidden_layers=3, num_attention_heads=2, num_blocks=2))
    model.layers[0].norm1.weight.requires_grad_(False)
    groups = group_parameters(model.named_parameters(), 3, 1e-4, 3e-4, 0.5)
    grouped = [parameter for parameters in groups.values() for parameter in parameters]
    assert len({id(parameter) for parameter in grouped}) == len(grouped)
    assert {id(p) for p in grouped} == {id(p) for p in model.parameters() if p.requires_grad and p.numel()}
    assert set(groups) == {
        GroupKey(2.5e-5, True), GroupKey(5e-5, True), GroupKey(1e-4, True), GroupKey(3e-4, False)
    }  # fmt: skip
