"""The oracle is `torch.nn.functional.grid_sample`, as stock transformers calls it."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from eomt.criterion.points import bilinear_corners, sample_logits, uncertain_points
from eomt.criterion.targets import ImageTargets


def grid_sampled(masks: Tensor, points: Tensor) -> Tensor:
    """(n, H, W), (n, P, 2) -> (n, P)."""
    return F.grid_sample(masks[:, None].float(), 2 * points[:, :, None] - 1, align_corners=False)[:, 0, :, 0]


def edge_points(count: int) -> Tensor:
    """Random points, and the corners and edges of the image."""
    corners = torch.tensor([[0, 0], [1, 0], [0, 1], [1, 1], [0, 0.5], [0.5, 1 - 1e-7], [1e-7, 0.3]])
    return torch.cat([torch.rand(count, 2), corners])


MASKS = {
    "bool": lambda masks: masks,
    "float": lambda masks: masks.float(),
    "half": lambda masks: masks.half(),
    "bfloat16": lambda masks: masks.bfloat16(),
    "uint8": lambda masks: masks.byte(),
    "soft": lambda masks: torch.rand(masks.shape, generator=torch.Generator().manual_seed(1)),
}


@pytest.mark.parametrize("kind", MASKS)
def test_masks_are_sampled_as_grid_sample_does(kind, segments):
    masks = MASKS[kind](segments([4])[3][0].bool())
    targets, points = ImageTargets(masks), edge_points(500)
    shared = targets.sample_all(points)
    torch.testing.assert_close(shared, grid_sampled(masks, points.expand(4, -1, -1)), atol=1e-5, rtol=0)
    chosen, own = torch.tensor([2, 0, 2]), torch.stack([edge_points(200) for _ in range(3)])
    torch.testing.assert_close(targets.sample_each(chosen, own), grid_sampled(masks[chosen], own), atol=1e-5, rtol=0)


WIDE = 2**31  # ids of COCO-like tables, of 8, 16 and 32 bits, and beyond where the type allows
IDS = {
    torch.uint8: [3, 200, 7, 255],
    torch.uint16: [3, 40000, 7, 65535],
    torch.int32: [70000, 3, WIDE - 1, -5],
    torch.int64: [70000, 3, WIDE + 70000, -5],
}


@pytest.mark.parametrize("dtype", IDS)
@pytest.mark.parametrize("size", [(64, 64), (48, 80)])
def test_id_maps_give_what_their_masks_give(dtype, size, segments):
    ids = torch.tensor(IDS[dtype])
    id_maps = segments([4])[0][0][: size[0]].long()
    id_maps = torch.cat([id_maps, id_maps], dim=1)[:, : size[1]]
    relabelled = torch.zeros_like(id_maps)
    for index, segment_id in enumerate(ids):
        relabelled[id_maps == index + 1] = segment_id
    absent = torch.tensor([77, 77 + 2**16, 77 + 2**32])  # in no pixel, also when cut to the map's type
    ids = torch.cat([ids, absent])
    by_id = ImageTargets(relabelled.to(dtype), ids)
    by_mask = ImageTargets(relabelled == ids[:, None, None])
    points = edge_points(500)
    assert len(by_id) == len(by_mask) == 7
    assert torch.equal(by_id.sample_all(points), by_mask.sample_all(points))
    assert not by_id.sample_all(points)[4:].any()
    chosen, own = torch.tensor([6, 0, 3, 3]), torch.stack([edge_points(200) for _ in range(4)])
    assert torch.equal(by_id.sample_each(chosen, own), by_mask.sample_each(chosen, own))


def test_no_segments():
    for targets in (ImageTargets(torch.zeros(0, 8, 8)), ImageTargets(torch.ones(8, 8, dtype=torch.int32), torch.zeros(0).long())):
        assert targets.sample_all(torch.rand(5, 2)).shape == (0, 5)
        assert targets.sample_each(torch.zeros(0).long(), torch.rand(0, 5, 2)).shape == (0, 5)


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
