"""The oracle is `torch.nn.functional.grid_sample`, as stock transformers calls it."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from eomt.criterion.points import bilinear_corners, sample_logits, sample_shared, uncertain_points


def grid_sampled(masks: Tensor, points: Tensor) -> Tensor:
    """(n, H, W), (n, P, 2) -> (n, P)."""
    return F.grid_sample(masks[:, None].float(), 2 * points[:, :, None] - 1, align_corners=False)[:, 0, :, 0]


def test_weights_of_a_point_inside_sum_to_one():
    points = (torch.rand(100, 2) * 6 + 1) / 8
    pixels, weights = bilinear_corners(points, 8, 8)
    torch.testing.assert_close(weights.sum(-1), torch.ones(100))
    assert pixels.min() >= 0 and pixels.max() < 64


def test_logits_are_sampled_in_float32():
    logits, points = torch.randn(2, 3, 8, 8).bfloat16(), torch.rand(2, 5, 2)
    sampled = sample_logits(logits, points)
    assert sampled.dtype == torch.float32 and sampled.shape == (2, 3, 5)
    torch.testing.assert_close(sampled[:, 1], grid_sampled(logits[:, 1], points))


def test_the_most_uncertain_candidates_are_chosen():
    logits, candidates, extra = torch.randn(3, 8, 8), torch.rand(3, 60, 2), torch.rand(3, 5, 2)
    points = uncertain_points(logits, candidates, extra, 20)
    assert points.shape == (3, 20, 2)
    assert torch.equal(points[:, 15:], extra)
    certainty = sample_logits(logits[:, None], candidates)[:, 0].abs().sort(dim=1).values
    chosen = sample_logits(logits[:, None], points[:, :15])[:, 0].abs().sort(dim=1).values
    torch.testing.assert_close(chosen, certainty[:, :15])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bool])
def test_shared_points_have_the_values_of_single_ones(dtype):
    torch.manual_seed(0)
    maps = (torch.randn(2, 3, 5, 7) > 0) if dtype == torch.bool else torch.randn(2, 3, 5, 7)
    edges = torch.cartesian_prod(torch.tensor([0.0, 1.0, 0.02, 0.98]), torch.tensor([0.0, 1.0])).expand(2, -1, -1)
    points = torch.cat([torch.rand(2, 40, 2), edges], dim=1)
    torch.testing.assert_close(sample_shared(maps, points), sample_logits(maps, points))
