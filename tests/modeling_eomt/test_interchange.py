"""Checkpoints pass between this package and transformers' own EoMT, in both directions and with the same outputs."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers.models.eomt import EomtConfig as StockConfig
from transformers.models.eomt import EomtForUniversalSegmentation as StockModel
from transformers.models.eomt_dinov3 import EomtDinov3Config as StockDinov3Config
from transformers.models.eomt_dinov3 import EomtDinov3ForUniversalSegmentation as StockDinov3Model

from eomt import EomtConfig, EomtDinov3Config, EomtDinov3ForUniversalSegmentation, EomtForUniversalSegmentation

SHAPES = {  # the paper's widths, heads and feed-forwards, shrunk in depth
    "S": dict(hidden_size=384, num_attention_heads=6, num_blocks=3),
    "B": dict(hidden_size=768, num_attention_heads=12, num_blocks=1, num_hidden_layers=2),
    "L": dict(hidden_size=1024, num_attention_heads=16, num_blocks=1, num_hidden_layers=2),
    "g": dict(hidden_size=1536, num_attention_heads=24, num_blocks=1, num_hidden_layers=2, use_swiglu_ffn=True),
    "tiny SwiGLU": dict(hidden_size=64, num_attention_heads=4, num_blocks=2, use_swiglu_ffn=True),
    "no registers": dict(hidden_size=64, num_attention_heads=4, num_blocks=2, num_register_tokens=0),
    "patch 8, one upscaling": dict(hidden_size=64, num_attention_heads=4, num_blocks=2, patch_size=8, num_upscale_blocks=1),
}
GATED = dict(use_gated_mlp=True, hidden_act="silu", layer_norm_eps=1e-5)
DINOV3_SHAPES = {
    "S": dict(hidden_size=384, num_attention_heads=6, num_blocks=3, intermediate_size=1536, layer_norm_eps=1e-5),
    "S+": dict(hidden_size=384, num_attention_heads=6, num_blocks=3, intermediate_size=1536, **GATED),
    "B": dict(hidden_size=768, num_attention_heads=12, num_blocks=1, num_hidden_layers=2, intermediate_size=3072),
    "heads and biases of 7B": dict(
        hidden_size=256, num_attention_heads=2, num_blocks=2, intermediate_size=512, query_bias=False, value_bias=False, **GATED
    ),
    "other biases": dict(hidden_size=64, num_attention_heads=4, num_blocks=2, key_bias=True, proj_bias=False, mlp_bias=False),
    "no registers, another base": dict(
        hidden_size=64, num_attention_heads=4, num_blocks=2, num_register_tokens=0, rope_parameters={"rope_theta": 50.0}
    ),
}
EMPTY = dict(missing_keys=set(), unexpected_keys=set(), mismatched_keys=set())


def built(model_class, config_class, **fields) -> nn.Module:
    torch.manual_seed(0)
    fields = {**dict(num_hidden_layers=3, image_size=64, patch_size=16, num_queries=8), **fields}
    model = model_class(config_class(**fields, num_labels=5)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:  # biases, norms and scales start equal: tell them apart
                parameter.add_(0.02 * torch.randn_like(parameter))
    return model


def logits(model: nn.Module, pixel_values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.no_grad():
        outputs = model(pixel_values=pixel_values)
    return outputs.masks_queries_logits, outputs.class_queries_logits


def assert_same_logits(one: nn.Module, other: nn.Module, image_size: int = 64) -> None:
    pixel_values = torch.randn(2, 3, image_size, image_size, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(logits(one, pixel_values), logits(other, pixel_values), atol=1e-5, rtol=0)


DIRECTIONS = {
    "ours to stock": (EomtForUniversalSegmentation, EomtConfig, StockModel),
    "stock to ours": (StockModel, StockConfig, EomtForUniversalSegmentation),
}


DINOV3_DIRECTIONS = {
    "DINOv3, ours to stock": (EomtDinov3ForUniversalSegmentation, EomtDinov3Config, StockDinov3Model),
    "DINOv3, stock to ours": (StockDinov3Model, StockDinov3Config, EomtDinov3ForUniversalSegmentation),
}
EVERY = DIRECTIONS | DINOV3_DIRECTIONS
PAIRS = [(shape, direction) for shape in SHAPES.values() for direction in DIRECTIONS]
PAIRS += [(shape, direction) for shape in DINOV3_SHAPES.values() for direction in DINOV3_DIRECTIONS]
NAMES = [f"{shape}-{direction}" for shape in SHAPES for direction in DIRECTIONS]
NAMES += [f"{shape}-{direction}" for shape in DINOV3_SHAPES for direction in DINOV3_DIRECTIONS]


@pytest.mark.parametrize(("shape", "direction"), PAIRS, ids=NAMES)
def test_both_directions_masked_and_unmasked(shape, direction, tmp_path):
    writer_class, config_class, reader_class = EVERY[direction]
    writer = built(writer_class, config_class, **shape)
    for probability in (0.0, 1.0):
        writer.attn_mask_probs.fill_(probability)
        writer.save_pretrained(tmp_path)
        reader, info = reader_class.from_pretrained(tmp_path, output_loading_info=True)
        assert {name: info[name] for name in EMPTY} == EMPTY
        assert torch.equal(reader.attn_mask_probs, writer.attn_mask_probs)
        assert_same_logits(writer.eval(), reader.eval())


@pytest.mark.parametrize("direction", EVERY)
def test_blocks_masked_in_a_row_and_none_after(direction, tmp_path):
    """A masked block after unmasked ones, and (stock keeps the first block's mask there, so it can't be the oracle) none after."""
    writer_class, config_class, reader_class = EVERY[direction]
    writer = built(writer_class, config_class, **SHAPES["S"])
    writer.attn_mask_probs.copy_(torch.tensor([0.0, 1.0, 1.0]))
    writer.save_pretrained(tmp_path)
    assert_same_logits(writer.eval(), reader_class.from_pretrained(tmp_path))


@pytest.mark.parametrize("direction", EVERY)
def test_sharded_saves(direction, tmp_path):
    writer_class, config_class, reader_class = EVERY[direction]
    writer = built(writer_class, config_class, **SHAPES["S"])
    writer.save_pretrained(tmp_path, max_shard_size="5MB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    reader, info = reader_class.from_pretrained(tmp_path, output_loading_info=True)
    assert {name: info[name] for name in EMPTY} == EMPTY
    assert_same_logits(writer, reader)


OFFLOADED = {
    **dict.fromkeys(["layers", "layernorm", "upscale_block", "criterion"], "cpu"),
    "attn_mask_probs": "cpu",
    **dict.fromkeys(["embeddings", "query", "mask_head", "class_predictor"], "disk"),
}


@pytest.mark.parametrize("direction", ["stock to ours", "DINOv3, stock to ours"])
@pytest.mark.parametrize("device_map", ["auto", {"": "cpu"}, OFFLOADED], ids=["auto", "cpu", "offloaded to disk"])
def test_device_map(device_map, direction, tmp_path):
    writer_class, config_class, reader_class = EVERY[direction]
    writer = built(writer_class, config_class, **SHAPES["S"])
    writer.save_pretrained(tmp_path, max_shard_size="5MB")
    reader = reader_class.from_pretrained(tmp_path, device_map=device_map, offload_folder=tmp_path / "off")
    assert_same_logits(writer, reader)


@pytest.mark.parametrize("direction", ["ours to stock", "DINOv3, ours to stock"])
@pytest.mark.parametrize("device_map", ["auto", {"": "cpu"}], ids=["auto", "cpu"])  # stock can't be offloaded to disk
def test_device_map_of_stock_reading_ours(device_map, direction, tmp_path):
    writer_class, config_class, reader_class = EVERY[direction]
    writer = built(writer_class, config_class, **SHAPES["S"])
    writer.save_pretrained(tmp_path, max_shard_size="5MB")
    assert_same_logits(writer, reader_class.from_pretrained(tmp_path, device_map=device_map))


def test_in_training_coordinates_are_rescaled_as_in_stock(tmp_path):
    """One image: of several, stock draws one factor for all, and we one for each."""
    augmented = dict(pos_embed_shift=0.3, pos_embed_jitter=1.5, pos_embed_rescale=2.0)
    stock = built(StockDinov3Model, StockDinov3Config, **DINOV3_SHAPES["S"], **augmented)
    stock.attn_mask_probs.zero_()
    stock.save_pretrained(tmp_path)
    ours, pixel_values = EomtDinov3ForUniversalSegmentation.from_pretrained(tmp_path), torch.randn(1, 3, 64, 64)
    results = []
    for model in (ours.train(), stock.train()):
        torch.manual_seed(0)
        results.append(logits(model, pixel_values))
    torch.testing.assert_close(*results, atol=1e-5, rtol=0)
    assert not torch.allclose(results[0][0], logits(ours.eval(), pixel_values)[0], atol=1e-2)


@pytest.mark.parametrize("direction", ["stock to ours", "DINOv3, stock to ours"])
def test_without_masking_probabilities_a_checkpoint_is_unmasked(direction, tmp_path):
    stock_class, config_class, our_class = EVERY[direction]
    stock = built(stock_class, config_class, **SHAPES["S"])
    stock.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["attn_mask_probs"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    ours, info = our_class.from_pretrained(tmp_path, output_loading_info=True)
    assert info["missing_keys"] == {"attn_mask_probs"}
    assert ours.attn_mask_probs.tolist() == [0, 0, 0]
    stock.attn_mask_probs.zero_()
    assert_same_logits(stock, ours)


def test_after_resizing_to_a_square_stock_reads_it(tmp_path):
    ours = built(EomtForUniversalSegmentation, EomtConfig, **SHAPES["S"])
    ours.set_attn_mask_probs([0, 0, 0])
    ours.resize_position_embeddings((96, 96))
    ours.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["image_size"] == 96
    assert_same_logits(ours, StockModel.from_pretrained(tmp_path), image_size=96)


def test_pairs_as_sizes_are_ours(tmp_path):
    ours = built(EomtForUniversalSegmentation, EomtConfig, **{**SHAPES["S"], "image_size": (32, 96), "patch_size": (16, 32)})
    ours.save_pretrained(tmp_path)
    again = EomtForUniversalSegmentation.from_pretrained(tmp_path)
    pixel_values = torch.randn(1, 3, 32, 96)
    torch.testing.assert_close(logits(ours, pixel_values), logits(again, pixel_values), atol=0, rtol=0)
    assert logits(again, pixel_values)[0].shape[-2:] == (8, 12)


def test_state_dicts_have_the_same_keys_and_shapes():
    for fields in SHAPES.values():
        with torch.device("meta"):
            ours = built(EomtForUniversalSegmentation, EomtConfig, **fields).state_dict()
            stock = built(StockModel, StockConfig, **fields).state_dict()
        assert {name: tensor.shape for name, tensor in ours.items()} == {name: tensor.shape for name, tensor in stock.items()}
    for fields in DINOV3_SHAPES.values():
        with torch.device("meta"):
            ours = built(EomtDinov3ForUniversalSegmentation, EomtDinov3Config, **fields).state_dict()
            stock = built(StockDinov3Model, StockDinov3Config, **fields).state_dict()
        assert {name: tensor.shape for name, tensor in ours.items()} == {name: tensor.shape for name, tensor in stock.items()}
