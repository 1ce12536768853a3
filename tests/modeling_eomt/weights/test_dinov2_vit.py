"""The oracle is transformers' own DINOv2, saved and read back, at its own patch size and grid and at others."""

import pytest
import torch
from transformers import Dinov2Config, Dinov2Model, Dinov2WithRegistersConfig, Dinov2WithRegistersModel

from eomt import EomtDinov3Config, EomtForUniversalSegmentation, EomtLadderForUniversalSegmentation
from eomt.weights.dinov2_vit import from_dinov2_vit
from eomt.weights.starts import from_start

SIZES = dict(hidden_size=128, num_attention_heads=2, num_hidden_layers=3, image_size=56, patch_size=14)
KINDS = {
    "with registers": (Dinov2WithRegistersModel, Dinov2WithRegistersConfig, {}),
    "without registers": (Dinov2Model, Dinov2Config, {}),
    "giant's feed-forward": (Dinov2WithRegistersModel, Dinov2WithRegistersConfig, dict(use_swiglu_ffn=True, hidden_act="relu")),
    "another activation": (Dinov2Model, Dinov2Config, dict(hidden_act="relu")),
}


def stored(kind: str, folder) -> torch.nn.Module:
    model_class, config_class, fields = KINDS[kind]
    torch.manual_seed(0)
    vit = model_class(config_class(**SIZES, **fields)).eval()
    with torch.no_grad():
        for parameter in vit.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter) / parameter[0].numel() ** 0.5)
    vit.save_pretrained(folder)
    return vit


def encode(model: EomtForUniversalSegmentation, pixel_values: torch.Tensor) -> torch.Tensor:
    tokens = model.embeddings(pixel_values, model.embeddings.patch_embeddings.grid_of(pixel_values))
    for layer in model.layers:
        tokens = layer(tokens)
    return model.layernorm(tokens)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_features_equal_transformers(kind, tmp_path):
    vit = stored(kind, tmp_path)
    model = from_dinov2_vit(str(tmp_path), patch_size=14, image_size=56, num_labels=2).eval()
    pixel_values = torch.randn(2, 3, 56, 56)
    expected = vit(pixel_values).last_hidden_state
    torch.testing.assert_close(encode(model, pixel_values), expected, atol=1e-5, rtol=1e-5)
    assert model.config.num_labels == 2 and model.config.num_blocks == 3
    assert model.config.hidden_act == ("gelu" if vit.config.use_swiglu_ffn else vit.config.hidden_act)


def test_patches_and_positions_are_resampled(tmp_path):
    stored("with registers", tmp_path)
    model = from_dinov2_vit(str(tmp_path), image_size=96)
    assert model.embeddings.patch_embeddings.patch_size == (16, 16) and model.embeddings.grid_size == (6, 6)


@torch.no_grad()
def test_it_starts_a_row_of_table_1(tmp_path):
    stored("with registers", tmp_path)
    fields = dict(row=1, decoder_width=64, decoder_layers=3, image_size=64, num_labels=2)
    model = from_dinov2_vit(str(tmp_path), model_type="eomt_ladder", **fields)
    assert type(model) is EomtLadderForUniversalSegmentation
    assert (model.config.row, model.config.decoder_width, model.config.num_blocks) == (1, 64, 0)
    plain = from_dinov2_vit(str(tmp_path), image_size=64).state_dict()
    assert all(torch.equal(plain[name], tensor) for name, tensor in model.state_dict().items() if name.startswith("layers."))
    from_start(str(tmp_path), model.config)
    for model_type in ("eomt_dinov3", "bert"):
        with pytest.raises(ValueError, match=f"model_type='{model_type}': this ViT can start eomt or eomt_ladder"):
            from_dinov2_vit(str(tmp_path), model_type=model_type)
    with pytest.raises(ValueError, match="model_type='eomt_dinov3': this ViT can start eomt or eomt_ladder"):
        from_start(str(tmp_path), EomtDinov3Config(**SIZES | dict(patch_size=16, image_size=64, num_blocks=2)))
