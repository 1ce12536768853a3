"""The encoders' parts; whole encoders are compared with timm's in `weights/test_timm.py`."""

import pytest
import torch
from timm.layers import DropPath

from eomt.encoders.parts import EomtDropPath, resample_positions


def test_positions_are_resampled_bicubically_in_their_own_type():
    positions = torch.randn(12, 8)
    image = positions.T.reshape(1, 8, 3, 4)
    expected = torch.nn.functional.interpolate(image, size=(5, 2), mode="bicubic", antialias=True)
    torch.testing.assert_close(resample_positions(positions, (3, 4), (5, 2)), expected[0].flatten(1).T)
    assert resample_positions(positions, (3, 4), (3, 4)) is positions
    assert resample_positions(positions.bfloat16(), (3, 4), (5, 2)).dtype == torch.bfloat16


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("training", [True, False])
def test_stochastic_depth_equals_timms(rate, training):
    branch, results = torch.randn(64, 3, 8), []
    for module in (EomtDropPath(rate), DropPath(rate)):
        torch.manual_seed(0)
        results.append(module.train(training)(branch))
    assert torch.equal(*results)
    left_out = (results[0] == 0).all(2).all(1).float().mean().item()
    assert left_out == pytest.approx(rate if training else 0, abs=0.15)
