"""Rotary positions: which tokens are turned, by which angles, and with which random numbers in training."""

import math

import pytest
import torch

from eomt import EomtDinov3Config, EomtEva02Config
from eomt.encoders.eva02 import EomtEva02RotaryEmbedding, partner_in_pair
from eomt.encoders.rotary import EomtDinov3RotaryEmbedding, Rotation, partner_in_other_half
from eomt.randomness import ImageDraws

KEYS = torch.tensor([3, 1, 2])


def rotary(**fields) -> EomtDinov3RotaryEmbedding:
    return EomtDinov3RotaryEmbedding(EomtDinov3Config(hidden_size=32, num_attention_heads=2, **fields))


def angles(module: EomtDinov3RotaryEmbedding, grid=(2, 3), images=3, keys=None) -> Rotation:
    return module(grid, torch.zeros(images, 3, 16, 16), ImageDraws(keys))


def test_angles_written_out():
    """y before x, two frequencies an axis at heads of 8 channels, the lot twice."""
    module = EomtDinov3RotaryEmbedding(EomtDinov3Config(hidden_size=16, num_attention_heads=2)).eval()
    rotation = angles(module, (2, 4))
    y, x = 2 * (1 + 0.5) / 2 - 1, 2 * (2 + 0.5) / 4 - 1  # of row 1, column 2
    expected = [2 * math.pi * value for value in (y, y / 10, x, x / 10)] * 2
    torch.testing.assert_close(rotation.cos[0, 0, 4 + 2], torch.tensor(expected).cos())
    torch.testing.assert_close(rotation.sin[0, 0, 4 + 2], torch.tensor(expected).sin())
    assert rotation.cos.shape == (1, 1, 8, 8)


def test_tokens_in_front_stay_and_patches_keep_their_length():
    states = torch.randn(3, 2, 5 + 6, 16)
    turned = angles(rotary().eval()).apply(states)
    assert torch.equal(turned[:, :, :5], states[:, :, :5])
    assert not torch.isclose(turned[:, :, 5:], states[:, :, 5:]).all(-1).any()
    torch.testing.assert_close(turned.norm(dim=-1), states.norm(dim=-1))


def test_products_depend_on_the_distance_of_two_patches_alone():
    rotation = angles(rotary().eval(), (1, 8))
    query, key = (torch.randn(1, 1, 1, 16).expand(-1, -1, 8, -1) for _ in range(2))
    products = (rotation.apply(query) @ rotation.apply(key).transpose(-1, -2))[0, 0]  # (8, 8)
    for offset in range(-7, 8):
        diagonal = products.diagonal(offset)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-5, rtol=1e-5)


def test_half_precision_states_are_turned_by_exact_angles():
    rotation = angles(rotary().to(torch.bfloat16).eval())
    assert rotation.cos.dtype == torch.float32 and torch.equal(rotation.cos, angles(rotary().eval()).cos)
    states = torch.randn(1, 2, 11, 16, dtype=torch.bfloat16)
    assert torch.equal(rotation.apply(states), rotation.apply(states.float()).to(torch.bfloat16))


@pytest.mark.parametrize("field, axes", [("pos_embed_shift", 2), ("pos_embed_jitter", 2), ("pos_embed_rescale", 1)])
def test_in_training_each_image_has_draws_that_follow_its_key(field, axes):
    none = dict(pos_embed_shift=None, pos_embed_jitter=None, pos_embed_rescale=None)
    module = rotary(**{**none, field: 1.4}).train()
    together = angles(module, keys=KEYS)
    for image in range(3):
        alone = angles(module, images=1, keys=KEYS[image : image + 1])
        assert torch.equal(alone.cos[0], together.cos[image])
    assert not torch.equal(together.cos[0], together.cos[1])
    assert angles(rotary(**none).train(), keys=KEYS).cos.shape[0] == 1  # nothing is drawn
    assert torch.equal(angles(module.eval(), keys=KEYS).cos, angles(rotary(**none).eval()).cos)
    drawn = [ImageDraws(KEYS).uniform(f"coordinate {field.removeprefix('pos_embed_')}", [1] * 3, (axes,), KEYS.device)]
    assert drawn[0].shape == (3, axes)


def test_factors_lie_within_their_limits():
    module = rotary(pos_embed_rescale=2.0).train()
    sines = angles(module, (1, 1001), images=200).sin[:, 0, 500 + 1]  # next to the centre: angles are small
    plain = angles(module.eval(), (1, 1001)).sin[0, 0, 500 + 1]
    factors = sines[:, 7] / plain[7]  # of the lowest frequency of x
    assert factors.min() >= 0.5 - 1e-3 and factors.max() <= 2 + 1e-3
    assert factors.log().mean().abs() < 0.1 and factors.log().std().item() == pytest.approx(math.log(4) / 12**0.5, rel=0.15)


def test_partners():
    states = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert partner_in_other_half(states).tolist() == [-3, -4, 1, 2]
    assert partner_in_pair(states).tolist() == [-2, 1, -4, 3]


def test_eva02s_angles_written_out():
    """Indices scaled to the grid of the pre-training, y before x, each frequency for two channels in a row."""
    module = EomtEva02RotaryEmbedding(EomtEva02Config(hidden_size=16, num_attention_heads=2)).train()
    rotation = module((2, 4), torch.zeros(1, 3, 32, 64), ImageDraws())
    y, x = 1 / 2 * 16, 2 / 4 * 16  # of row 1, column 2
    expected = [value for value in (y, y / 100, x, x / 100) for _ in range(2)]
    torch.testing.assert_close(rotation.cos[0, 0, 4 + 2], torch.tensor(expected).cos())
    torch.testing.assert_close(rotation.sin[0, 0, 4 + 2], torch.tensor(expected).sin())
