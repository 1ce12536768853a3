"""The oracle is stock transformers, in one process and at the same points: its draws are replaced by those recorded from ours."""

import pytest
import torch
from torch import Tensor, nn
from transformers.models.eomt import EomtConfig as StockConfig
from transformers.models.eomt import EomtForUniversalSegmentation as StockModel

from eomt.criterion.points import uncertain_points
from eomt.randomness import ImageDraws

PIXELS = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(5))


@pytest.fixture
def recorded(monkeypatch) -> dict[str, Tensor]:
    """Every draw of ours by its purpose, and the points that were chosen of them."""
    draws, uniform = {}, ImageDraws.uniform

    def record(self, purpose, rows, shape, device):
        draws[purpose] = uniform(self, purpose, rows, shape, device)
        return draws[purpose]

    def record_points(*inputs):
        draws["points"] = uncertain_points(*inputs)
        return draws["points"]

    monkeypatch.setattr(ImageDraws, "uniform", record)
    monkeypatch.setattr("eomt.criterion.loss.uncertain_points", record_points)
    return draws


def stock_order(draws: dict[str, Tensor], probs: list[float], counts: list[int]) -> tuple[list[Tensor], list[Tensor]]:
    """Recorded draws and points in the order of stock's calls: masking by block; then block by block, where ours goes by image."""
    blocks = len(probs) + 1
    queue = [draws[f"masking {block}"] for block, p in enumerate(probs) if p < 1]
    queue += [draws["matching points"][image * blocks + block][None] for block in range(blocks) for image in range(len(counts))]
    block_of_row = torch.cat([torch.arange(blocks).repeat_interleave(count) for count in counts])  # ours: image, block, match
    return queue, [draws["points"][block_of_row == block] for block in range(blocks)]


def stock_loss(model: nn.Module, draws: list[Tensor], points: list[Tensor], monkeypatch, **labels):
    """Loss and weighted terms by our names, and the stock model with its gradients.

    The points are given, not chosen again: a rounding error in a logit can choose another of two equally uncertain ones.
    """
    stock = StockModel(StockConfig(**model.config.to_dict())).train(model.training)
    stock.load_state_dict(model.state_dict())
    draws, points, dicts, get_loss_dict = list(draws), list(points), [], stock.get_loss_dict

    def replay(*shape, **_):
        assert draws[0].shape == shape
        return draws.pop(0)

    def record(**inputs):
        dicts.append(get_loss_dict(**inputs))
        return dicts[-1]

    with monkeypatch.context() as patch:
        patch.setattr(torch, "rand", replay)
        patch.setattr(stock.criterion, "sample_points_using_uncertainty", lambda *_: points.pop(0))
        patch.setattr(stock, "get_loss_dict", record)
        loss = stock(pixel_values=PIXELS, **labels).loss
    assert not draws and not points
    suffixes = [f"_block_{index - len(dicts) + 1}" for index in range(len(dicts) - 1)] + [""]
    terms = {name + suffix: term for suffix, block in zip(suffixes, dicts, strict=True) for name, term in block.items()}
    return loss, terms, stock


@pytest.mark.parametrize("form", ["masks", "id maps"])
@pytest.mark.parametrize("probs", [[1.0, 1.0], [0.6, 0.3]])
@pytest.mark.parametrize("counts", [[3, 1, 5], [2, 0, 4], [3, 12, 1]], ids=["some", "an image without", "more than queries"])
def test_terms_and_gradients_equal_stocks(form, probs, counts, tiny_model, segments, recorded, monkeypatch):
    model = tiny_model(probs=probs).train()
    id_maps, segment_ids, class_labels, mask_labels = segments(counts)
    ours = dict(mask_labels=mask_labels) if form == "masks" else dict(id_maps=id_maps, segment_ids=segment_ids)
    outputs = model(PIXELS, class_labels=class_labels, **ours)
    draws = stock_order(recorded, probs, [min(count, 8) for count in counts])
    loss, terms, stock = stock_loss(model, *draws, monkeypatch, mask_labels=mask_labels, class_labels=class_labels)
    assert set(outputs.loss_terms) == set(terms)
    for name, term in terms.items():
        torch.testing.assert_close(outputs.loss_terms[name], term, atol=1e-5, rtol=1e-5, msg=name)
    torch.testing.assert_close(outputs.loss, loss, atol=1e-5, rtol=1e-5)
    outputs.loss.backward()
    loss.backward()
    theirs = dict(stock.named_parameters())
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, theirs[name].grad, atol=1e-5, rtol=0, msg=lambda m, name=name: f"{name}: {m}")


def test_points_are_chosen_as_stock_does(tiny_config, monkeypatch):
    logits, candidates, extra = torch.randn(4, 16, 16), torch.rand(4, 300, 2), torch.rand(4, 25, 2)
    stock = StockModel(StockConfig(**tiny_config().to_dict())).criterion
    queue = [candidates, extra]
    with monkeypatch.context() as patch:
        patch.setattr(torch, "rand", lambda *_, **__: queue.pop(0))
        expected = stock.sample_points_using_uncertainty(logits[:, None], stock.calculate_uncertainty, 100, 3, 0.75)
    points = uncertain_points(logits, candidates, extra, 100)
    assert torch.equal(points[:, 75:], expected[:, 75:])
    for chosen, of_stock in zip(points[:, :75], expected[:, :75], strict=True):  # in any order
        assert torch.equal(chosen[chosen[:, 0].argsort()], of_stock[of_stock[:, 0].argsort()])


@pytest.fixture
def labelled(tiny_model, segments):
    """`labelled(counts, training=True)`: a model and a function from labels to its output at fixed draws."""

    def build(counts: list[int], training: bool = True, **fields):
        model = tiny_model(probs=[0.6, 0.3], **fields).train(training)
        keys = torch.arange(len(counts))
        return segments(counts), lambda **labels: model(PIXELS[: len(counts)], sample_keys=keys, **labels), model

    return build


def assert_equal_losses(one, other) -> None:
    for name, term in one.loss_terms.items():
        torch.testing.assert_close(term, other.loss_terms[name], atol=1e-6, rtol=1e-6)


def test_masks_and_id_maps_give_equal_losses_in_any_type(labelled):
    (id_maps, segment_ids, class_labels, mask_labels), run, _ = labelled([3, 0, 12])
    expected = run(mask_labels=mask_labels, class_labels=class_labels)
    assert_equal_losses(expected, run(mask_labels=[masks.bool() for masks in mask_labels], class_labels=class_labels))
    for dtype in (torch.uint8, torch.uint16, torch.int16, torch.int32, torch.int64):
        labels = dict(segment_ids=segment_ids, class_labels=class_labels)
        assert_equal_losses(expected, run(id_maps=id_maps.to(dtype), **labels))
        assert_equal_losses(expected, run(id_maps=list(id_maps.to(dtype)), **labels))


def test_arbitrary_ids_and_ids_that_do_not_occur(labelled):
    (id_maps, segment_ids, class_labels, _), run, _ = labelled([3])
    names = torch.tensor([0, 70001, 3, 16777215])  # void, then the ids of the three segments
    renamed = names[id_maps.long()]
    expected = run(id_maps=id_maps, segment_ids=segment_ids, class_labels=class_labels)
    assert_equal_losses(expected, run(id_maps=renamed, segment_ids=[names[1:]], class_labels=class_labels))
    absent = run(id_maps=renamed, segment_ids=[torch.tensor([70001, 9])], class_labels=[torch.tensor([1, 2])])
    empty = torch.stack([renamed[0] == 70001, torch.zeros(64, 64, dtype=torch.bool)])
    assert_equal_losses(absent, run(mask_labels=[empty], class_labels=[torch.tensor([1, 2])]))


def test_targets_of_another_size_than_the_image(labelled):
    (id_maps, segment_ids, class_labels, _), run, _ = labelled([3, 2])
    for size in (slice(None, None, 2), slice(0, 48)):
        small = id_maps[:, size, :40]
        masks = [maps == ids[:, None, None] for maps, ids in zip(small, segment_ids, strict=True)]
        by_id = run(id_maps=small, segment_ids=segment_ids, class_labels=class_labels)
        assert_equal_losses(by_id, run(mask_labels=masks, class_labels=class_labels))
        assert by_id.loss.isfinite()


def test_the_order_of_segments_does_not_matter(labelled):
    (id_maps, segment_ids, class_labels, mask_labels), run, _ = labelled([5])
    order = torch.tensor([3, 0, 4, 1, 2])
    expected = run(mask_labels=mask_labels, class_labels=class_labels)
    assert_equal_losses(expected, run(mask_labels=[mask_labels[0][order]], class_labels=[class_labels[0][order]]))
    assert_equal_losses(expected, run(id_maps=id_maps, segment_ids=[segment_ids[0][order]], class_labels=[class_labels[0][order]]))


@pytest.mark.parametrize("training", [True, False])
def test_images_without_segments(labelled, training):
    (id_maps, segment_ids, class_labels, mask_labels), run, model = labelled([0, 0], training)
    outputs = run(id_maps=id_maps, segment_ids=segment_ids, class_labels=class_labels)
    assert_equal_losses(outputs, run(mask_labels=mask_labels, class_labels=class_labels))
    assert outputs.loss.isfinite()
    assert all(term.item() == 0 for name, term in outputs.loss_terms.items() if "cross_entropy" not in name)
    assert all(term.item() > 0 for name, term in outputs.loss_terms.items() if "cross_entropy" in name)
    outputs.loss.backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize("training", [True, False])
def test_a_batch_without_segments_has_no_loss_where_no_object_weighs_nothing(labelled, training):
    (_, _, class_labels, mask_labels), run, model = labelled([0, 0], training, no_object_weight=0.0)
    outputs = run(mask_labels=mask_labels, class_labels=class_labels)
    assert all(term.item() == 0 for term in outputs.loss_terms.values())
    outputs.loss.backward()
    assert all(not parameter.grad.any() for parameter in model.parameters())


def test_terms_are_named_and_sum_to_the_loss(labelled):
    (_, _, class_labels, mask_labels), run, model = labelled([3, 2])
    for training in (True, False):
        model.train(training)
        for probs in ([1, 1], [0.7, 0], [0, 0]):
            model.set_attn_mask_probs(probs)
            outputs = run(mask_labels=mask_labels, class_labels=class_labels)
            names = {"loss_mask", "loss_dice", "loss_cross_entropy"}
            assert set(outputs.loss_terms) == {name + suffix for name in names for suffix in ("_block_-2", "_block_-1", "")}
            torch.testing.assert_close(sum(outputs.loss_terms.values()), outputs.loss)
            assert len(outputs.block_predictions) == 2


def test_weights_follow_the_configuration(labelled):
    (_, _, class_labels, mask_labels), run, model = labelled([3])
    once = run(mask_labels=mask_labels, class_labels=class_labels).loss_terms["loss_dice"]
    cost = model.config.class_weight, model.config.mask_weight, model.config.dice_weight
    model.config.class_weight, model.config.mask_weight, model.config.dice_weight = (2 * weight for weight in cost)
    twice = run(mask_labels=mask_labels, class_labels=class_labels).loss_terms["loss_dice"]
    torch.testing.assert_close(twice, 2 * once)


@pytest.mark.every_encoder
def test_one_batch_overfits(tiny_model, segments):
    torch.manual_seed(0)
    model = tiny_model(probs=[0.0, 0.0]).train()
    id_maps, segment_ids, class_labels, _ = segments([3, 2])
    labels = dict(id_maps=id_maps, segment_ids=segment_ids, class_labels=class_labels)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    losses = []
    for _ in range(60):
        loss = model(PIXELS[:2], **labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-5:]) / 5 < 0.25 * losses[0]
