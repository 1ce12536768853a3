"""ViT-Adapter's stem: sizes, and batch normalisation over the images of all processes."""

import pytest
import torch
import torch.distributed as dist
from torch import nn

from eomt.ladder.spatial_prior import AdapterBatchNorm, SpatialPrior


def test_maps_have_a_quarter_to_a_thirty_second_of_the_image_and_the_width_of_the_encoder():
    maps = SpatialPrior(3, 24)(torch.randn(2, 3, 64, 96))
    assert [tuple(feature.shape) for feature in maps] == [(2, 24, 16, 24), (2, 24, 8, 12), (2, 24, 4, 6), (2, 24, 2, 3)]


@pytest.fixture
def norms() -> tuple[AdapterBatchNorm, nn.BatchNorm2d]:
    """Ours and PyTorch's, with the same weights."""
    ours, stock = AdapterBatchNorm(4), nn.BatchNorm2d(4)
    with torch.no_grad():
        stock.weight.uniform_(0.5, 2)
        stock.bias.normal_()
    ours.load_state_dict(stock.state_dict())
    return ours, stock


def test_in_one_process_it_is_pytorchs(norms):
    ours, stock = norms
    feature = torch.randn(3, 4, 5, 6)
    assert torch.equal(ours(feature), stock(feature)) and torch.equal(ours.eval()(feature), stock.eval()(feature))


def test_two_processes_have_the_statistics_of_both(norms, monkeypatch):
    """Two processes of the same images are one that has them twice."""
    ours, stock = norms
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(dist, "all_reduce", lambda tensor: tensor.mul_(2))
    feature = 3 + 2 * torch.randn(3, 4, 5, 6)
    torch.testing.assert_close(ours(feature), stock(torch.cat([feature, feature]))[:3], atol=1e-5, rtol=1e-5)
    for name, tensor in stock.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], tensor)
    assert ours(feature.bfloat16()).dtype == torch.bfloat16
    monkeypatch.setattr(dist, "all_reduce", None)  # a call would raise
    assert ours.eval()(feature).isfinite().all()
