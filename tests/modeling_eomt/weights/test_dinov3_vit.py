"""The oracle is transformers' own DINOv3, saved and read back."""

import pytest
import torch
from transformers import DINOv3ViTConfig, DINOv3ViTModel

from eomt import EomtDinov3ForUniversalSegmentation, EomtDinov3LadderForUniversalSegmentation
from eomt.configuration import EomtDinov3Config
from eomt.randomness import ImageDraws
from eomt.weights.dinov3_vit import SHARED_FIELDS, from_dinov3_vit

KINDS = {
    "S": dict(),
    "S+": dict(use_gated_mlp=True, hidden_act="silu"),
    "7B": dict(hidden_size=256, num_attention_heads=2, query_bias=False, value_bias=False, use_gated_mlp=True, hidden_act="silu"),
}


def vit(**kind) -> DINOv3ViTModel:
    torch.manual_seed(0)
    fields = dict(hidden_size=192, num_attention_heads=3, num_hidden_layers=3, intermediate_size=256, num_register_tokens=4)
    model = DINOv3ViTModel(DINOv3ViTConfig(**{**fields, **kind})).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter) / parameter[0].numel() ** 0.5)
    return model


def encode(model: EomtDinov3ForUniversalSegmentation, pixel_values: torch.Tensor) -> torch.Tensor:
    grid = model.embeddings.patch_embeddings.grid_of(pixel_values)
    tokens, rotation = model.embeddings(pixel_values, grid), model.rotary(grid, pixel_values, ImageDraws())
    for layer in model.layers:
        tokens = layer(tokens, None, rotation)
    return model.layernorm(tokens)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.no_grad()
def test_features_equal_transformers(kind, dtype, tmp_path):
    vit(**KINDS[kind]).to(dtype).save_pretrained(tmp_path)
    theirs = DINOv3ViTModel.from_pretrained(tmp_path, dtype=torch.float32)
    ours = from_dinov3_vit(str(tmp_path), image_size=64, num_labels=2).eval()
    assert ours.dtype == torch.float32 and ours.config.num_blocks == 3 and ours.config.num_labels == 2
    for size in ((64, 64), (96, 160), (32, 128)):
        pixel_values = torch.randn(2, 3, *size)
        expected = theirs(pixel_values).last_hidden_state
        torch.testing.assert_close(encode(ours, pixel_values), expected, atol=1e-5, rtol=0)


def test_every_field_of_the_encoder_is_taken(tmp_path):
    shared = EomtDinov3Config().to_dict().keys() & DINOv3ViTConfig().to_dict().keys()
    general = set(EomtDinov3Config().to_dict()) - set(EomtDinov3Config.__annotations__)
    encoder = {"hidden_size", "num_hidden_layers", "num_attention_heads", "hidden_act", "attention_dropout", "initializer_range"}
    encoder |= {"layer_norm_eps", "num_channels", "drop_path_rate", "num_register_tokens", "patch_size"}
    assert set(SHARED_FIELDS) == shared - (general - encoder)
    vit(rope_theta=50.0, layer_norm_eps=1e-4, pos_embed_rescale=3.0).save_pretrained(tmp_path)
    config = from_dinov3_vit(str(tmp_path)).config
    assert (config.rope_parameters["rope_theta"], config.layer_norm_eps, config.pos_embed_rescale) == (50, 1e-4, 3)


def test_missing_weights_are_named(tmp_path):
    model = vit()
    kept = {name: tensor for name, tensor in model.state_dict().items() if "layer.1.norm1" not in name}
    model.save_pretrained(tmp_path, state_dict=kept)
    with pytest.raises(ValueError, match="none for layers.1.norm1.bias, layers.1.norm1.weight"):
        from_dinov3_vit(str(tmp_path))


def test_it_starts_a_row_of_table_1(tmp_path):
    vit(num_hidden_layers=4).save_pretrained(tmp_path)
    fields = dict(row=0, decoder_width=32, decoder_layers=3, image_size=64)
    model = from_dinov3_vit(str(tmp_path), model_type="eomt_dinov3_ladder", **fields)
    assert type(model) is EomtDinov3LadderForUniversalSegmentation and (model.config.row, model.config.num_blocks) == (0, 0)
    with pytest.raises(ValueError, match="model_type='eomt': this ViT can start eomt_dinov3 or eomt_dinov3_ladder"):
        from_dinov3_vit(str(tmp_path), model_type="eomt")
