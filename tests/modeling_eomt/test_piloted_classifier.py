"""A model in training with piloted queries: others don't notice them, and their loss is the others' with fixed segments."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from eomt.criterion.loss import mask_cross_entropy, mask_dice
from eomt.criterion.piloted_loss import TERMS
from eomt.criterion.points import sample_logits, uncertain_points
from eomt.piloted_queries import Piloting

COUNTS = [3, 0, 1, 12]  # of segments in the images of `batch`
PROBS = [0.6, 0.8]
ENCODERS = ["eomt", "eomt_dinov3", "eomt_eva02"]


@pytest.fixture(params=ENCODERS)
def model_type(request) -> str:
    return request.param


@pytest.fixture
def pair(tiny_model) -> tuple:
    """A model in training, and the same with piloted queries."""
    without, piloted = (tiny_model(probs=PROBS).train() for _ in range(2))
    piloted.piloting = Piloting(6)
    return without, piloted


def ordinary(terms: dict) -> dict:
    return {name: term for name, term in terms.items() if name not in TERMS}


def gradients(loss: torch.Tensor, model) -> list[torch.Tensor]:
    return torch.autograd.grad(loss, list(model.parameters()), allow_unused=True, materialize_grads=True)


def part(batch: dict, images: slice) -> dict:
    return {name: values[images] for name, values in batch.items()}


def record_pilots(monkeypatch, change=lambda pilots: pilots) -> list:
    drawn, draw = [], Piloting.draw
    monkeypatch.setattr(Piloting, "draw", lambda *inputs: drawn.append(change(draw(*inputs))) or drawn[-1])
    return drawn


def test_outputs_losses_and_gradients_of_other_queries_are_those_without(pair, batch):
    without, piloted = (model(**batch) for model in pair)
    assert set(piloted.loss_terms) == {*without.loss_terms, *TERMS}
    assert all(piloted.loss_terms[name] > 0 for name in TERMS)
    for name in ("class_queries_logits", "masks_queries_logits", "last_hidden_state", "block_predictions"):
        torch.testing.assert_close(piloted[name], without[name], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ordinary(piloted.loss_terms), without.loss_terms, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(piloted.loss, sum(piloted.loss_terms.values()))
    expected = gradients(without.loss, pair[0])
    of_others = gradients(sum(ordinary(piloted.loss_terms).values()), pair[1])
    torch.testing.assert_close(of_others, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_nothing_of_true_masks_and_classes_reaches_other_queries(pair, batch, monkeypatch, implementation):
    _, model = pair
    model.set_attn_implementation(implementation)

    def run(change):
        with monkeypatch.context() as patch:
            record_pilots(patch, change)
            outputs = model(**batch)
        loss = sum(ordinary(outputs.loss_terms).values())
        others = outputs.class_queries_logits, outputs.masks_queries_logits, outputs.block_predictions, loss
        return others, gradients(loss, model), outputs.loss_terms["loss_mask_piloted"]

    before = run(lambda pilots: pilots)
    after = run(lambda pilots: replace(pilots, cells=~pilots.cells, classes=4 - pilots.classes))
    torch.testing.assert_close(after[:2], before[:2], atol=0, rtol=0)
    assert after[2] != before[2]


def test_queries_see_patches_inside_their_mask_alone(pair, batch, monkeypatch):
    _, model = pair
    model.set_attn_mask_probs([1.0, 1.0])
    drawn = record_pilots(monkeypatch)
    model(**batch)
    pilots = drawn[0]
    attention = model.layers[-1].attention
    tokens = torch.randn(4, pilots.most + 8 + model.embeddings.num_prefix_tokens + 16, 64)
    patches = tokens.shape[1] - 16
    mask = pilots.attention_mask(1, tokens.shape[1])

    def attended(tokens):
        return attention.attend(tokens, None, None, None, mask)[0][:, : pilots.most]

    with torch.no_grad():
        before = attended(tokens)
        for cell in range(16):
            moved = tokens.clone()
            moved[:, patches + cell] += 3
            changed = (attended(moved) != before).any(2)
            assert torch.equal(changed[pilots.real], pilots.cells[..., cell][pilots.real])


def test_padding_takes_no_part(pair, batch):
    """An image alone, without padding, has the terms that it has beside one with more segments."""
    _, model = pair
    both = {**part(batch, slice(2, 4)), "loss_normalizers": torch.ones(3)}
    alone = [{**part(batch, slice(image, image + 1)), "loss_normalizers": torch.ones(3)} for image in (2, 3)]
    terms = [model(**one).loss_terms for one in alone]
    joint = model(**both).loss_terms
    for name in TERMS:
        torch.testing.assert_close(joint[name], terms[0][name] + terms[1][name], atol=1e-4, rtol=1e-5)


def test_the_loss_is_that_of_each_query_and_its_segment(pair, batch, monkeypatch):
    _, model = pair
    drawn, points, predictions = record_pilots(monkeypatch), [], []
    recorded = lambda *inputs: points.append(uncertain_points(*inputs)) or points[-1]  # noqa: E731
    monkeypatch.setattr("eomt.criterion.loss.uncertain_points", recorded)
    predict = model.predict_blocks
    monkeypatch.setattr(model, "predict_blocks", lambda *a, **k: predictions.append(predict(*a, **k)) or predictions[-1])
    terms = model(**batch).loss_terms
    pilots, config = drawn[0], model.config
    sums, row = torch.zeros(3), 0
    for image, segments in enumerate(pilots.segments):
        for prediction in predictions[0][1]:
            for query, segment in enumerate(segments.tolist()):
                mask = (batch["id_maps"][image] == batch["segment_ids"][image][segment]).float()
                at = points[1][row : row + 1]
                logits, wanted = (sample_logits(m[None, None], at)[0] for m in (prediction.piloted.mask_logits[image, query], mask))
                label = batch["class_labels"][image][segment]
                sums[0] += config.mask_weight * mask_cross_entropy(logits, wanted)[0]
                sums[1] += config.dice_weight * mask_dice(logits, wanted)[0]
                sums[2] += config.class_weight * F.cross_entropy(prediction.piloted.class_logits[image, query], label)
                row += 1
    assert row == len(points[1]) > 0 and not (points[1][0] == points[0][0]).any()
    for name, expected in zip(TERMS, sums / (3 + 0 + 1 + 6), strict=True):
        torch.testing.assert_close(terms[name], expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("limit", [3, 20])
def test_micro_batches_equal_the_joint_batch(tiny_model, batch, limit):
    model = tiny_model(probs=PROBS).train()
    model.piloting = Piloting(limit, noise=0.2)
    joint = gradients(model(**batch).loss, model)
    parts = [part(batch, slice(0, 1)), part(batch, slice(1, 2)), part(batch, slice(2, 4))]
    sums = sum(model.loss_normalizers(one["class_labels"]) for one in parts)
    of_parts = [gradients(model(**one, loss_normalizers=sums).loss, model) for one in parts]
    torch.testing.assert_close([sum(each) for each in zip(*of_parts, strict=True)], list(joint), atol=1e-6, rtol=1e-4)


def test_masks_and_id_maps_give_equal_losses(pair, batch, segments):
    _, model = pair
    mask_labels = segments(COUNTS)[3]
    in_masks = {name: value for name, value in batch.items() if name not in ("id_maps", "segment_ids")}
    torch.testing.assert_close(model(**in_masks, mask_labels=mask_labels).loss, model(**batch).loss, atol=1e-5, rtol=1e-6)


@torch.no_grad()
def test_evaluation_has_none(pair, batch, monkeypatch):
    monkeypatch.setattr(Piloting, "draw", None)  # a draw would raise
    without, piloted = (model.eval()(**batch) for model in pair)
    assert torch.equal(piloted.loss, without.loss) and set(piloted.loss_terms) == set(without.loss_terms)
    assert torch.equal(piloted.masks_queries_logits, without.masks_queries_logits)


def test_a_batch_without_segments_has_terms_of_zero(pair, batch):
    _, model = pair
    terms = model(**part(batch, slice(1, 2))).loss_terms
    assert [terms[name].item() for name in TERMS] == [0, 0, 0]
    assert sum(terms.values()).isfinite()


def test_checkpointed_blocks_give_the_same_gradients(pair, batch):
    _, model = pair
    expected = gradients(model(**batch).loss, model)
    model.gradient_checkpointing_enable({"use_reentrant": False})
    torch.testing.assert_close(gradients(model(**batch).loss, model), expected, atol=1e-6, rtol=1e-5)


def test_a_model_holds_nothing_more(pair):
    without, piloted = pair
    assert piloted.state_dict().keys() == without.state_dict().keys()
    assert len(list(piloted.buffers())) == len(list(without.buffers()))


def test_divisors_of_other_queries_alone_are_refused(pair, batch):
    with pytest.raises(ValueError, match="loss_normalizers has 2 numbers.*needs 3"):
        pair[1](**batch, loss_normalizers=torch.ones(2))
