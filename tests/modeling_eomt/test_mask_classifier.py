"""The contract of an architecture, for each that implements it: EoMT on every encoder, the ladder to it,
and transformers' own EoMT in benchmarks."""

import importlib.util
from pathlib import Path

import pytest
import torch
import transformers

from eomt.configuration import CONFIGURATIONS
from eomt.mask_classifier import MaskClassifier
from eomt.modeling_eomt import EomtPreTrainedModel
from eomt.modeling_eomt_ladder import EomtLadderForUniversalSegmentation

STOCK = Path(__file__).parents[2] / "benchmarks" / "stock_model.py"


def stock_class() -> type[MaskClassifier]:
    spec = importlib.util.spec_from_file_location("stock_model", STOCK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.StockModel


MODEL_TYPES = [known.model_type for known in CONFIGURATIONS]
ROWS = {f"row {row}": ("eomt_ladder", row) for row in range(4)}
ROWS |= {"row 0, EVA-02": ("eomt_eva02_ladder", 0), "row 1, DINOv3": ("eomt_dinov3_ladder", 1)}


@pytest.fixture(params=[*MODEL_TYPES, *ROWS, "transformers"])
def kind(request) -> str:
    return request.param


@pytest.fixture
def model_type(kind) -> str:
    return ROWS[kind][0] if kind in ROWS else kind if kind in MODEL_TYPES else "eomt"


@pytest.fixture
def model(kind, tiny_model) -> MaskClassifier:
    """In training, masked at random, four blocks, and the last two with queries, or three layers of a decoder."""
    if kind in ROWS:
        return tiny_model(probs=0.5, row=ROWS[kind][1]).train()
    ours = tiny_model(probs=0.5)
    if kind in MODEL_TYPES:
        return ours.train()
    stock = stock_class()(transformers.EomtConfig.from_dict(ours.config.to_dict()))
    stock.load_state_dict(ours.state_dict())
    return stock.train()


@pytest.fixture
def batch(segments) -> dict:
    id_maps, segment_ids, class_labels, _ = segments([3, 1])
    return dict(pixel_values=torch.ones(2, 3, 64, 64), id_maps=id_maps, segment_ids=segment_ids, class_labels=class_labels)


def test_labels_give_one_loss_that_is_the_sum_of_its_terms(model, batch):
    outputs = model(**batch)
    assert outputs.loss.item() == pytest.approx(sum(term.item() for term in outputs.loss_terms.values()), rel=1e-5)
    assert len(outputs.block_predictions) == len(model.attn_mask_probs)
    assert outputs.masks_queries_logits.shape == outputs.block_predictions[0][0].shape == (2, 8, 16, 16)
    assert outputs.class_queries_logits.shape == outputs.block_predictions[0][1].shape == (2, 8, 6)
    outputs.loss.backward()
    assert not [name for name, parameter in model.named_parameters() if parameter.grad is None and parameter.numel()]


def test_without_supervised_blocks_the_last_prediction_alone_has_a_loss(model, batch):
    model.set_attn_mask_probs([0.0] * len(model.attn_mask_probs))
    torch.manual_seed(0)
    every = model(**batch)
    model.supervises_blocks = False
    torch.manual_seed(0)
    last = model(**batch)
    assert last.block_predictions is None and torch.equal(last.masks_queries_logits, every.masks_queries_logits)
    assert 0 < last.loss < 0.6 * every.loss


def test_every_parameter_is_new_or_so_many_blocks_below_the_output(model):
    above = {name: model.blocks_above(name) for name, _ in model.named_parameters()}
    ladder = isinstance(model, EomtLadderForUniversalSegmentation)
    new = {"pyramid", "pixel_decoder", "transformer_decoder"} if ladder else {"query", "upscale_block", "mask_head"}
    assert {name.split(".")[0] for name, blocks in above.items() if blocks is None} == {*new, "class_predictor"}
    assert {above[f"layers.{block}.norm1.weight"] for block in range(4)} == {3, 2, 1, 0} and above["layers.3.norm1.weight"] == 0
    assert above["embeddings.cls_token"] == 3 and above.get("layernorm.weight", 0) == 0


def test_frozen_blocks_get_no_gradient(model, batch):
    model.freeze_encoder(1)
    model(**batch).loss.backward()
    without = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert without == {name for name, _ in model.named_parameters() if name.startswith(("embeddings.", "layers.0."))}


def test_a_new_class_head_is_random_and_trained(model, batch):
    before = model.class_predictor.weight.clone()
    torch.manual_seed(1)
    model.renew_class_predictor()
    assert (
        model.class_predictor.weight.shape == before.shape and not torch.isclose(model.class_predictor.weight, before).all(1).any()
    )
    model(**batch).loss.backward()
    assert model.class_predictor.weight.grad.abs().max() > 0


def test_probabilities_are_checked_and_kept_in_float32(model):
    count = len(model.attn_mask_probs)
    model.set_attn_mask_probs([0.9995] * count)
    assert model.to(torch.bfloat16).attn_mask_probs.tolist() == pytest.approx([0.9995] * count, abs=1e-6)
    with pytest.raises(ValueError, match=rf"probs=\[0.5\] must be {count} numbers in \[0, 1\]"):
        model.set_attn_mask_probs([0.5])


def test_divisors_are_those_of_the_configuration(model, batch):
    masks, weights = model.loss_normalizers(batch["class_labels"]).tolist()
    assert masks == 4 and weights == pytest.approx(4 + 0.1 * (2 * 8 - 4))


def test_an_architecture_that_lacks_a_part_is_refused():
    class Half(MaskClassifier, EomtPreTrainedModel):
        def predict_blocks(self, pixel_values, supervised, draws):
            return None

    with pytest.raises(TypeError, match="abstract.*blocks_above.*freeze_encoder"):
        Half(None)
