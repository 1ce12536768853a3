"""Rows 0 to 3 of Table 1: parameters, formats, sizes, masks by layer, and how they start."""

import pytest
import timm
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForUniversalSegmentation

from eomt import EomtLadderConfig, EomtLadderForUniversalSegmentation
from eomt.configuration import ladder_architecture
from eomt.ladder.mask2former import hidden_positions
from eomt.randomness import ImageDraws
from eomt.weights.timm import from_timm

ROWS = range(4)
TOTALS = {  # million parameters with 133 classes at 640 pixels, by row
    "small": (46.56, 44.58, 39.53, 38.15),
    "base": (120.96, 116.76, 111.70, 106.57),
    "giant": (1208.64, 1196.11, 1191.06, 1171.36),
}
EXACT = (348_672_006, 342_263_622, 337_211_782, 328_273_798)  # of ViT-L
PARTS = {  # of ViT-L, by row
    "embeddings": [2_430_976] * 4,
    "layers": [302_358_528] * 4,
    "layernorm": [0, 2_048, 2_048, 2_048],
    "pyramid": [23_236_800, 4 * 4_206_592, 4 * 4_206_592, 2 * 4_206_592],
    "pixel_decoder": [6_101_440, 6_101_440, 262_400, 2 * 262_400],
    "transformer_decoder": [14_509_824, 14_509_824, 14_509_824 + 3 * 262_400, 14_509_824],
    "class_predictor": [34_438] * 4,
}


@pytest.fixture
def model_type() -> str:
    return "eomt_ladder"


def on_meta(config: EomtLadderConfig) -> EomtLadderForUniversalSegmentation:
    with torch.device("meta"):
        return EomtLadderForUniversalSegmentation(config)


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("row", ROWS)
def test_parameters_of_vit_l_by_module(row):
    model = on_meta(ladder_architecture("large", row, num_labels=133))
    assert {name: count(part) for name, part in model.named_children() if name in PARTS} == {
        name: counts[row] for name, counts in PARTS.items()
    }
    assert count(model) == EXACT[row]


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("name", TOTALS)
def test_parameters_of_the_other_sizes(name, row):
    assert count(on_meta(ladder_architecture(name, row, num_labels=133))) / 1e6 == pytest.approx(TOTALS[name][row], abs=0.0051)


@pytest.mark.parametrize("row", ROWS)
@torch.no_grad()
def test_a_stored_model_is_read_by_the_auto_classes_and_refused_by_transformers(tiny_model, tmp_path, row):
    model = tiny_model(probs=[1.0, 0.25, 0.5], row=row)
    model.save_pretrained(tmp_path)
    again = AutoModelForUniversalSegmentation.from_pretrained(tmp_path)
    assert type(again) is EomtLadderForUniversalSegmentation and again.config.row == row
    pixel_values = torch.randn(1, 3, 64, 64)
    assert torch.equal(again(pixel_values).masks_queries_logits, model(pixel_values).masks_queries_logits)
    assert again.attn_mask_probs.tolist() == [1, 0.25, 0.5]
    assert model.config.model_type not in transformers.models.auto.configuration_auto.CONFIG_MAPPING_NAMES


@torch.no_grad()
def test_a_checkpoint_starts_another_row_with_its_encoder(tiny_model, tmp_path):
    model = tiny_model(row=3)
    model.save_pretrained(tmp_path)
    other = EomtLadderForUniversalSegmentation.from_pretrained(tmp_path, row=0, ignore_mismatched_sizes=True)
    assert other.config.row == 0 and all(tensor.isfinite().all() for tensor in other.state_dict().values())
    assert torch.equal(other.layers[2].mlp.fc1.weight, model.layers[2].mlp.fc1.weight)
    assert all(norm.running_var.eq(1).all() for norm in other.pyramid.norms)


@pytest.mark.parametrize("row", ROWS)
def test_new_weights_are_finite_and_those_of_transformers_are_initialised_as_there(tiny_config, row):
    model = EomtLadderForUniversalSegmentation(tiny_config(row=row))
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())
    assert 0.5 < model.transformer_decoder.queries_features.weight.std() < 1.5
    if row < 2:
        assert 0.5 < model.pixel_decoder.level_embed.std() < 1.5
        assert model.pixel_decoder.encoder.layers[0].self_attn.sampling_offsets.bias.abs().max() == 4


@pytest.mark.parametrize("row", ROWS)
@torch.no_grad()
def test_images_of_other_sizes(tiny_model, row):
    model = tiny_model(row=row)
    assert model(torch.randn(1, 3, 96, 32)).masks_queries_logits.shape == (1, 8, 24, 8)
    odd = torch.randn(1, 3, 48, 80)
    if row == 0:
        with pytest.raises(ValueError, match="pixel_values is .48, 80. pixels, but ViT-Adapter .row 0. needs multiples of 32"):
            model(odd)
    else:
        assert model(odd).masks_queries_logits.shape == (1, 8, 12, 20)


@pytest.mark.parametrize("row", ROWS)
@torch.no_grad()
def test_images_of_one_row_or_column_of_patches(tiny_model, row):
    model = tiny_model(row=row)
    for height, width in ((16, 64), (64, 16)):
        images = torch.randn(1, 3, height, width)
        if row == 3:
            assert model(images).masks_queries_logits.shape == (1, 8, height // 4, width // 4)
        else:
            with pytest.raises(
                ValueError, match=rf"pixel_values is .{height}, {width}. pixels, but .*32.*; resize or pad the images"
            ):
                model(images)


@pytest.mark.parametrize("row", ROWS)
@torch.no_grad()
def test_each_layer_is_masked_with_its_own_probability(tiny_model, monkeypatch, row):
    seen = []

    def recorded(mask_logits, size, unmasked=None):
        seen.append((size, unmasked))
        return hidden_positions(mask_logits, size, unmasked)

    monkeypatch.setattr("eomt.modeling_eomt_ladder.hidden_positions", recorded)
    model = tiny_model(probs=[0.8, 0.0, 1.0, 0.25], row=row, num_queries=100, decoder_layers=4).train()
    for _ in range(10):
        model(torch.randn(4, 3, 64, 64))
    sizes = {3: (4, 4)}.get(row)
    assert [size for size, _ in seen[:3]] == [sizes or (2, 2), sizes or (8, 8), sizes or (2, 2)]  # layer 1 is not masked
    for index, probability in enumerate((0.8, 1.0, 0.25)):
        draws = torch.stack([unmasked for _, unmasked in seen[index::3]])  # (10, 4, 100)
        assert 1 - draws.float().mean().item() == pytest.approx(probability, abs=0.04)  # 4000 draws: 5 standard deviations
    seen.clear()
    outputs = model.eval()(torch.randn(4, 3, 64, 64))
    assert [unmasked for _, unmasked in seen] == [None, None] and len(outputs.block_predictions) == 2
    model.set_attn_mask_probs([0.0] * 4)
    assert model(torch.randn(1, 3, 64, 64)).block_predictions is None


def test_masks_change_what_queries_see(tiny_model):
    pixel_values = torch.randn(1, 3, 64, 64)
    for row in ROWS:
        masked, unmasked = (tiny_model(probs=probs, row=row)(pixel_values).masks_queries_logits for probs in (1.0, 0.0))
        assert not torch.isclose(masked, unmasked, atol=1e-4).all()


@pytest.mark.parametrize("use_reentrant", [False, True])
@pytest.mark.parametrize("row", ROWS)
def test_gradient_checkpointing_gives_the_same_gradients(tiny_model, segments, row, use_reentrant):
    _, _, class_labels, mask_labels = segments([2, 1])
    pixel_values, keys = torch.randn(2, 3, 64, 64), torch.tensor([1, 2])
    gradients = []
    for checkpointing in (False, True):
        model = tiny_model(probs=0.5, row=row).train()
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": use_reentrant})
        model(pixel_values, mask_labels, class_labels, sample_keys=keys).loss.backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    for plain, checkpointed in zip(*gradients, strict=True):
        torch.testing.assert_close(checkpointed, plain, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("row", ROWS)
def test_one_batch_overfits_masked(tiny_config, segments, row):
    torch.manual_seed(0)
    model = EomtLadderForUniversalSegmentation(tiny_config(row=row)).train()
    id_maps, segment_ids, class_labels, _ = segments([2, 1])
    pixel_values = torch.randn(2, 3, 64, 64) + 2 * id_maps[:, None]
    labels = dict(id_maps=id_maps, segment_ids=segment_ids, class_labels=class_labels)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(80):
        loss = model(pixel_values, **labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) / 5 < 0.5 * losses[0]
    model.eval()
    with torch.no_grad():  # batch normalisation with what it has gathered
        assert model(pixel_values, **labels).loss < 0.6 * losses[0]


@pytest.mark.parametrize("row", ROWS)
def test_bfloat16_by_autocast_and_of_weights(tiny_model, row):
    model, pixel_values = tiny_model(probs=0.0, row=row), torch.randn(1, 3, 64, 64)
    exact = model(pixel_values).class_queries_logits
    with torch.autocast("cpu", torch.bfloat16):
        cast = model(pixel_values).class_queries_logits
    stored = model.to(torch.bfloat16)(pixel_values).class_queries_logits
    for other in (cast, stored):
        assert (other.float() - exact).abs().max() < 0.1 * exact.abs().max()


@pytest.mark.parametrize("row", ROWS)
def test_a_vit_of_timm_starts_every_row(tmp_path, row):
    vit = timm.create_model("vit_tiny_patch16_224.augreg_in21k", num_classes=0)
    save_file(vit.state_dict(), tmp_path / "vit.safetensors")
    fields = dict(image_size=64, num_queries=5, num_labels=3, decoder_width=32, decoder_layers=3)
    model = from_timm(tmp_path / "vit.safetensors", model_type="eomt_ladder", row=row, **fields)
    eomt = from_timm(tmp_path / "vit.safetensors", **{name: fields[name] for name in ("image_size", "num_queries", "num_labels")})
    assert type(model) is EomtLadderForUniversalSegmentation and model.config.row == row
    for name, tensor in model.state_dict().items():
        if model.blocks_above(name) is not None:
            assert torch.equal(tensor, eomt.state_dict()[name]), name


@pytest.mark.parametrize(("name", "model_type"), [("dinov3", "eomt_dinov3_ladder"), ("eva02", "eomt_eva02_ladder")])
@torch.no_grad()
def test_the_ladder_on_other_encoders(tmp_path, name, model_type):
    """The map at 1/16 of row 3 has the features of timm's ViT, at its patch size."""
    vit = timm.create_model({"dinov3": "vit_small_patch16_dinov3", "eva02": "eva02_base_patch14_224"}[name], num_classes=0).eval()
    for parameter in vit.parameters():
        parameter.add_(0.05 * torch.randn_like(parameter))
    save_file(vit.state_dict(), tmp_path / "vit.safetensors")
    fields = dict(model_type=model_type, num_labels=3, decoder_width=32, decoder_layers=3)
    model = from_timm(tmp_path / "vit.safetensors", row=3, image_size=256, **fields).eval()
    assert model.config.model_type == model_type and model.config.num_blocks == 0
    _, patches = model.feature_maps(pixel_values := torch.randn(1, 3, 256, 256), ImageDraws())
    assert model(pixel_values).masks_queries_logits.shape == (1, 200, 64, 64)
    if name == "dinov3":  # patch size 16 as here
        expected = vit.forward_features(pixel_values)[:, vit.num_prefix_tokens :]
        torch.testing.assert_close(patches.flatten(2).transpose(1, 2), expected, atol=1e-4, rtol=1e-4)
    adapter = from_timm(tmp_path / "vit.safetensors", row=0, image_size=64, **fields)
    assert len(adapter.feature_maps(torch.randn(1, 3, 64, 64), ImageDraws())) == 4


def test_a_vit_of_another_kind_is_refused(tmp_path):
    save_file(timm.create_model("vit_small_patch16_dinov3", num_classes=0).state_dict(), tmp_path / "vit.safetensors")
    with pytest.raises(ValueError, match="model_type='eomt_ladder': this ViT can start eomt_dinov3 or eomt_dinov3_ladder"):
        from_timm(tmp_path / "vit.safetensors", model_type="eomt_ladder")


def test_another_image_size_resizes_the_stored_positions(tiny_model, tmp_path):
    tiny_model(row=2).save_pretrained(tmp_path)
    larger = AutoModelForUniversalSegmentation.from_pretrained(tmp_path, image_size=96)
    larger.save_pretrained(tmp_path / "larger")
    assert AutoConfig.from_pretrained(tmp_path / "larger").image_size == 96
    assert load_file(tmp_path / "larger" / "model.safetensors")["embeddings.position_embeddings.weight"].shape == (36, 64)
