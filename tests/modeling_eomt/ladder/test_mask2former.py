"""Mask2Former's decoders in steps of a layer against transformers' Mask2Former in one go."""

import pytest
import torch
from torch import nn
from transformers import Mask2FormerForUniversalSegmentation, SwinConfig
from transformers.modeling_outputs import BackboneOutput
from transformers.models.mask2former.modeling_mask2former import Mask2FormerTransformerModule

from eomt.ladder.mask2former import SinePositions, hidden_positions, mask2former_config
from eomt.randomness import ImageDraws

STAGES = ["stage1", "stage2", "stage3", "stage4"]
SWIN = dict(image_size=64, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1], window_size=2, out_features=STAGES)


@pytest.fixture
def model_type() -> str:
    return "eomt_ladder"


class Maps(nn.Module):
    """A backbone that returns the maps it was given."""

    def __init__(self, maps: list[torch.Tensor]):
        super().__init__()
        self.maps = maps

    def forward(self, *_, **__) -> BackboneOutput:
        return BackboneOutput(feature_maps=tuple(self.maps))


@pytest.mark.parametrize("row", [0, 1])
@pytest.mark.parametrize("size", [(64, 64), (32, 96)])
@torch.no_grad()
def test_rows_with_a_pixel_decoder_equal_mask2former_on_the_same_maps(tiny_model, row, size):
    model = tiny_model(probs=1.0, row=row, decoder_layers=4)
    pixel_values = torch.randn(2, 3, *size)
    config = mask2former_config(model.config)
    config.backbone_config = SwinConfig(**SWIN)
    config.num_labels, config.output_auxiliary_logits = model.config.num_labels, True
    stock = Mask2FormerForUniversalSegmentation(config).eval()
    stock.model.pixel_level_module.encoder = Maps(model.feature_maps(pixel_values, ImageDraws()))
    projections = torch.nn.ModuleList(
        nn.Sequential(nn.Conv2d(64, 32, kernel_size=1), nn.GroupNorm(32, 32)) for _ in range(3)
    )  # of Swin's widths otherwise
    stock.model.pixel_level_module.decoder.input_projections = projections
    first = nn.Conv2d(64, 32, kernel_size=1, bias=False)
    stock.model.pixel_level_module.decoder.lateral_convolutions[0][0] = first
    stock.model.pixel_level_module.decoder.load_state_dict(model.pixel_decoder.state_dict())
    stock.model.transformer_module.load_state_dict(model.transformer_decoder.state_dict())
    stock.class_predictor.load_state_dict(model.class_predictor.state_dict())

    ours, expected = model(pixel_values), stock(pixel_values)
    torch.testing.assert_close(ours.masks_queries_logits, expected.masks_queries_logits, atol=1e-6, rtol=0)
    torch.testing.assert_close(ours.class_queries_logits, expected.class_queries_logits, atol=1e-6, rtol=0)
    assert len(ours.block_predictions) == len(expected.auxiliary_logits) == 4
    for (masks, classes), other in zip(ours.block_predictions, expected.auxiliary_logits, strict=True):
        torch.testing.assert_close(masks, other["masks_queries_logits"], atol=1e-6, rtol=0)
        torch.testing.assert_close(classes, other["class_queries_logits"], atol=1e-6, rtol=0)


@pytest.mark.parametrize("row", [2, 3])
@torch.no_grad()
def test_rows_without_one_equal_mask2formers_decoder_on_the_same_maps(tiny_model, row):
    model = tiny_model(probs=1.0, row=row, decoder_layers=4)
    pixel_values = torch.randn(2, 3, 64, 96)
    mask_features, levels = model.pixel_decoder(model.feature_maps(pixel_values, ImageDraws()))
    assert [tuple(level.shape[-2:]) for level in levels] == {2: [(2, 3), (4, 6), (8, 12)], 3: [(4, 6)] * 3}[row]
    stock = Mask2FormerTransformerModule(64 if row == 2 else 32, mask2former_config(model.config)).eval()
    stock.load_state_dict(model.transformer_decoder.state_dict())
    expected, ours = stock(levels, mask_features), model(pixel_values)
    torch.testing.assert_close(ours.masks_queries_logits, expected.masks_queries_logits[-1], atol=1e-6, rtol=0)
    states = expected.intermediate_hidden_states[-1].transpose(0, 1)
    torch.testing.assert_close(ours.last_hidden_state, states, atol=1e-6, rtol=0)
    for (masks, classes), other, state in zip(
        ours.block_predictions, expected.masks_queries_logits, expected.intermediate_hidden_states, strict=False
    ):
        torch.testing.assert_close(masks, other, atol=1e-6, rtol=0)
        torch.testing.assert_close(classes, model.class_predictor(state.transpose(0, 1)), atol=1e-6, rtol=0)


def test_positions_are_computed_in_float32():
    positions = SinePositions(32)
    exact = positions(torch.Size([1, 32, 40, 40]), torch.device("cpu"), torch.float32)
    coarse = positions(torch.Size([1, 32, 40, 40]), torch.device("cpu"), torch.bfloat16)
    assert coarse.dtype == torch.bfloat16 and (coarse.float() - exact).abs().max() < 0.004


class TestHiddenPositions:
    def test_what_is_outside_of_a_mask_is_hidden(self):
        logits = torch.tensor([[[[1.0, -1.0], [2.0, -0.5]]]])
        assert hidden_positions(logits, (2, 2)).tolist() == [[[[False, True], [False, True]]]]
        assert hidden_positions(logits, (4, 4)).shape == (1, 1, 4, 4)

    def test_a_query_with_an_empty_mask_or_left_unmasked_attends_everywhere(self):
        logits = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, -1.0]])[None, :, None]  # (1, 3, 1, 2)
        unmasked = torch.tensor([[False, False, True]])
        assert hidden_positions(logits, (1, 2), unmasked).flatten(2).tolist() == [[[False, False], [False, True], [False, False]]]
