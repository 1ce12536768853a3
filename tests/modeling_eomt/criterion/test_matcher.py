import pytest
import torch
from transformers.models.eomt.modeling_eomt import EomtHungarianMatcher

from eomt.criterion.matcher import assign, match, matching_costs
from eomt.criterion.targets import ImageTargets
from eomt.randomness import ImageDraws

WEIGHTS = (2.0, 5.0, 5.0)


def predictions(blocks: int = 3, images: int = 2, queries: int = 6, classes: int = 4):
    masks = [torch.randn(images, queries, 16, 16) for _ in range(blocks)]
    return masks, [torch.randn(images, queries, classes + 1) for _ in range(blocks)]


def test_every_image_and_block_is_matched_as_stock_does(segments, monkeypatch):
    torch.manual_seed(0)
    counts, points = [4, 9], 200
    mask_logits, class_logits = predictions()
    _, _, class_labels, mask_labels = segments(counts, num_labels=4)
    targets = [ImageTargets(masks) for masks in mask_labels]
    keys = torch.tensor([1, 2])
    drawn = ImageDraws(keys).uniform("matching points", [3, 3], (points, 2), torch.device("cpu")).view(2, 3, points, 2)
    ours = match(mask_logits, class_logits, targets, class_labels, WEIGHTS, points, ImageDraws(keys))
    stock = EomtHungarianMatcher(cost_class=2.0, cost_mask=5.0, cost_dice=5.0, num_points=points)
    for block in range(3):
        queue = list(drawn[:, block, None])
        with monkeypatch.context() as patch:
            patch.setattr(torch, "rand", lambda *_, queue=queue, **__: queue.pop(0))
            expected = stock(mask_logits[block], class_logits[block], mask_labels, class_labels)
        for image, (queries, labels) in enumerate(expected):
            here = (ours.image == image) & (ours.block == block)
            assert torch.equal(ours.query[here], queries) and torch.equal(ours.segment[here], labels)
            assert len(queries) == min(6, counts[image])


def test_no_query_and_no_segment_twice_and_in_order():
    counts = [4, 0, 9]
    image, block, query, segment = assign(torch.randn(3, 2, 6, 9), counts)
    rows = list(zip(image.tolist(), block.tolist(), query.tolist(), strict=True))
    assert rows == sorted(set(rows))
    assert len(set(zip(image.tolist(), block.tolist(), segment.tolist(), strict=True))) == len(rows)
    assert image.bincount(minlength=3).tolist() == [2 * 4, 0, 2 * 6]


def test_all_costs_cross_to_the_host_once(segments, monkeypatch):
    transfers, cpu = [], torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda self: transfers.append(self.shape) or cpu(self))
    _, _, class_labels, mask_labels = segments([4, 2], num_labels=4)
    match(*predictions(), [ImageTargets(masks) for masks in mask_labels], class_labels, WEIGHTS, 50, ImageDraws())
    assert transfers == [(2, 3, 6, 4)]


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf, -torch.inf])
def test_predictions_that_are_no_numbers_are_matched_last(wrong):
    mask_logits, class_logits = torch.randn(6, 30), torch.randn(6, 5)
    mask_logits[2] = wrong
    costs = matching_costs(mask_logits, class_logits, torch.rand(4, 30).round(), torch.tensor([0, 1, 2, 3]), WEIGHTS)
    assert costs.isfinite().all()
    if wrong is not -torch.inf:  # at -inf the cross-entropy of an empty mask is finite
        assert 2 not in assign(costs[None, None], [4])[2]
