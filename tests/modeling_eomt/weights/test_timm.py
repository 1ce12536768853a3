"""The oracle is timm: its own ViTs, its own resampling of patch embeddings and its own checkpoint filter."""

from functools import partial

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from timm.layers import LayerNorm, SwiGLUPacked, resample_abs_pos_embed, resample_patch_embed
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from torch import Tensor, nn

from eomt import EomtDinov3ForUniversalSegmentation, EomtEva02ForUniversalSegmentation, EomtForUniversalSegmentation
from eomt.configuration import architecture_config
from eomt.randomness import ImageDraws
from eomt.weights.timm import encoder_config, from_timm, load_timm_encoder, pixel_statistics

KINDS = {
    "DINOv2": dict(init_values=0.1),
    "DINOv2 with registers": dict(init_values=0.1, reg_tokens=4, no_embed_class=True),
    "positions for registers as well": dict(reg_tokens=2),
    "no LayerScale": dict(),
    "ViT-g": dict(init_values=0.1, mlp_layer=SwiGLUPacked, mlp_ratio=2.66667 * 2, act_layer=nn.SiLU),
}


def timm_vit(img_size=98, patch_size=14, **kind) -> VisionTransformer:
    torch.manual_seed(0)
    vit = VisionTransformer(
        img_size=img_size, patch_size=patch_size, embed_dim=192, depth=3, num_heads=3, num_classes=0, global_pool="", **kind
    )
    return moved(vit)


@torch.no_grad()
def moved(vit: nn.Module) -> nn.Module:
    """With every parameter away from its initial value: at timm's LayerScale a wrong block would pass."""
    for parameter in vit.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter) / parameter[0].numel() ** 0.5)
    return vit.eval()


def encode(model: EomtForUniversalSegmentation, pixel_values: Tensor) -> Tensor:
    """The encoder alone, without queries: (B, N, D)."""
    grid = model.embeddings.patch_embeddings.grid_of(pixel_values)
    hidden_states, rotation = model.embeddings(pixel_values, grid), model.rotary(grid, pixel_values, ImageDraws())
    for layer in model.layers:
        hidden_states = layer(hidden_states, None, rotation)
    return model.layernorm(hidden_states)


def resampled(weights: dict[str, Tensor], other: VisionTransformer, num_prefix: int) -> dict[str, Tensor]:
    """timm's weights for another patch size and grid, by timm's functions."""
    positions = resample_abs_pos_embed(weights["pos_embed"], list(other.patch_embed.grid_size), num_prefix_tokens=num_prefix)
    return checkpoint_filter_fn({**weights, "pos_embed": positions}, other)


DINOV3_KINDS = {
    "S": dict(qkv_bias=False),
    "S with biases": dict(qkv_bias=True),
    "S+": dict(qkv_bias=False, swiglu_mlp=True, swiglu_align_to=8, mlp_ratio=6),
    "7B": dict(embed_dim=4096, num_heads=32, depth=1, qkv_bias=False, swiglu_mlp=True, swiglu_align_to=64, mlp_ratio=0.1),
}


def timm_dinov3(**kind) -> Eva:
    """timm's own arguments for DINOv3, at another width and depth; LayerScale and norms away from their initial values."""
    torch.manual_seed(0)
    vit = Eva(
        **{**dict(embed_dim=192, num_heads=3, depth=3), **kind},
        img_size=64,
        patch_size=16,
        num_classes=0,
        global_pool="",
        init_values=0.1,
        rope_type="dinov3",
        rope_temperature=100,
        rope_rotate_half=True,
        use_rot_pos_emb=True,
        use_abs_pos_emb=False,
        num_reg_tokens=4,
        use_fc_norm=False,
        dynamic_img_size=True,
        norm_layer=partial(LayerNorm, eps=1e-5),
    )
    return moved(vit)


@pytest.mark.parametrize("kind", DINOV3_KINDS)
@pytest.mark.parametrize("size", [(64, 64), (96, 160), (32, 128), (16, 16)])
@torch.no_grad()
def test_features_of_dinov3_equal_timms(kind, size):
    vit = timm_dinov3(**DINOV3_KINDS[kind])
    model = EomtDinov3ForUniversalSegmentation(encoder_config(vit.state_dict(), image_size=64)).eval()
    load_timm_encoder(model, vit.state_dict())
    assert model.config.layer_norm_eps == 1e-5
    pixel_values = torch.randn(2, 3, *size)
    torch.testing.assert_close(encode(model, pixel_values), vit.forward_features(pixel_values), atol=1e-5, rtol=0)


def test_biases_that_timms_file_lacks_are_zero_but_of_7b_there_are_none():
    plain, largest = (timm_dinov3(**DINOV3_KINDS[kind]).state_dict() for kind in ("S", "7B"))
    model = EomtDinov3ForUniversalSegmentation(encoder_config(plain, image_size=64))
    torch.nn.init.ones_(model.layers[1].attention.q_proj.bias)
    load_timm_encoder(model, plain)
    assert model.layers[1].attention.q_proj.bias.abs().max() == 0 and model.layers[1].attention.k_proj.bias is None
    config = encoder_config(largest)
    assert (config.query_bias, config.value_bias, config.num_attention_heads, config.hidden_act) == (False, False, 32, "silu")


@torch.no_grad()
def test_a_dinov3_by_name_and_from_its_file(tmp_path):
    torch.manual_seed(0)
    model = from_timm("vit_small_patch16_dinov3", pretrained=False, num_labels=2, image_size=64).eval()
    assert type(model) is EomtDinov3ForUniversalSegmentation
    expected = architecture_config("dinov3_small", num_labels=2, image_size=64).to_dict()
    assert {**model.config.to_dict(), "architectures": None, "dtype": None} == {**expected, "architectures": None, "dtype": None}
    torch.manual_seed(0)
    vit = timm.create_model("vit_small_patch16_dinov3", pretrained=False, num_classes=0)
    save_file(vit.state_dict(), tmp_path / "vit.safetensors")
    again, pixel_values = from_timm(tmp_path / "vit.safetensors", num_labels=2, image_size=64).eval(), torch.randn(1, 3, 64, 96)
    assert torch.equal(encode(again, pixel_values), encode(model, pixel_values))


@pytest.mark.parametrize(
    "timm_name, name",
    [("small_plus", "small_plus"), ("base", "base"), ("large", "large"), ("huge_plus", "huge_plus"), ("7b", "7b")],
)
def test_the_released_dinov3s_are_the_named_architectures(timm_name, name):
    with torch.device("meta"):
        weights = timm.create_model(f"vit_{timm_name}_patch16_dinov3", num_classes=0).state_dict()
    assert encoder_config(weights).to_dict() == architecture_config(f"dinov3_{name}").to_dict()


def timm_eva02(img_size=112, patch_size=14, **options) -> Eva:
    """timm's own arguments for EVA-02-L, at another width and depth; norms away from their initial values."""
    torch.manual_seed(0)
    vit = Eva(
        img_size=img_size,
        patch_size=patch_size,
        embed_dim=192,
        depth=3,
        num_heads=3,
        mlp_ratio=4 * 2 / 3,
        qkv_fused=False,
        swiglu_mlp=True,
        scale_mlp=True,
        use_rot_pos_emb=True,
        ref_feat_shape=(16, 16),
        num_classes=0,
        dynamic_img_size=True,
        **options,
    )
    return moved(vit)


@pytest.mark.parametrize("size", [(112, 112), (56, 168), (140, 112), (14, 28)])
@torch.no_grad()
def test_features_of_eva02_equal_timms(size):
    """timm's `norm` is the identity where it pools by average, and `fc_norm` follows the pooling."""
    vit = timm_eva02()
    model = EomtEva02ForUniversalSegmentation(encoder_config(vit.state_dict(), patch_size=14, image_size=112)).eval()
    load_timm_encoder(model, vit.state_dict())
    pixel_values = torch.randn(2, 3, *size)
    expected = vit.fc_norm(vit.forward_features(pixel_values))
    torch.testing.assert_close(encode(model, pixel_values), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("image_size", [128, (96, 160)])
@torch.no_grad()
def test_features_of_eva02_with_patches_of_16_pixels_equal_timms(image_size):
    vit = timm_eva02(use_post_transformer_norm=True, use_fc_norm=False)
    other = timm_eva02(image_size, 16, use_post_transformer_norm=True, use_fc_norm=False)
    other.load_state_dict(resampled(vit.state_dict(), other, 1))
    model = EomtEva02ForUniversalSegmentation(encoder_config(vit.state_dict(), image_size=image_size)).eval()
    load_timm_encoder(model, vit.state_dict())
    height, width = model.config.image_size_hw
    pixel_values = torch.randn(2, 3, height, width)
    torch.testing.assert_close(encode(model, pixel_values), other.forward_features(pixel_values), atol=1e-5, rtol=0)


def test_eva02_large_is_the_named_architecture_and_its_bare_name_is_refused(monkeypatch):
    asked = []

    def create_model(name: str, **options) -> Eva:
        asked.append(name)
        return timm_eva02()

    for start in (from_timm, pixel_statistics):
        with pytest.raises(ValueError, match="without a tag timm takes mim_in22k.*give eva02_large_patch14_224.mim_m38m"):
            start("eva02_large_patch14_224")
    with torch.device("meta"):
        weights = timm.create_model("eva02_large_patch14_224.mim_m38m", num_classes=0).state_dict()
    assert encoder_config(weights).to_dict() == architecture_config("eva02_large").to_dict()
    monkeypatch.setattr(timm, "create_model", create_model)
    model = from_timm("eva02_large_patch14_224.mim_m38m", image_size=64, num_labels=2)
    assert asked == ["eva02_large_patch14_224.mim_m38m"] and type(model) is EomtEva02ForUniversalSegmentation


def test_of_eva02s_two_final_norms_the_pooled_one_is_the_trained_one():
    weights = timm_eva02().state_dict()
    weights["norm.weight"], weights["norm.bias"] = torch.ones(192), torch.zeros(192)
    model = EomtEva02ForUniversalSegmentation(encoder_config(weights, image_size=64))
    load_timm_encoder(model, weights)
    assert torch.equal(model.layernorm.weight, weights["fc_norm.weight"])
    with pytest.raises(ValueError, match="no place for blocks.0.attn.norm.weight"):  # of the CLIP towers
        load_timm_encoder(model, {**weights, "blocks.0.attn.norm.weight": torch.ones(192)})


@torch.no_grad()
def test_deit3_by_name_equals_timms():
    torch.manual_seed(0)
    vit = moved(timm.create_model("deit3_small_patch16_384", num_classes=0, dynamic_img_size=True))
    model = EomtForUniversalSegmentation(encoder_config(vit.state_dict(), image_size=384)).eval()
    load_timm_encoder(model, vit.state_dict())
    assert model.config.num_register_tokens == 0
    for size in ((384, 384), (160, 96)):
        pixel_values = torch.randn(1, 3, *size)
        torch.testing.assert_close(encode(model, pixel_values), vit.forward_features(pixel_values), atol=1e-5, rtol=0)
    with torch.device("meta"):
        weights = timm.create_model("deit3_large_patch16_384", num_classes=0).state_dict()
    assert encoder_config(weights).to_dict() == architecture_config("deit3_large").to_dict()


@pytest.mark.parametrize(
    "name, mean",
    [
        ("vit_small_patch14_reg4_dinov2", 0.485),
        ("vit_large_patch16_dinov3.sat493m", 0.430),
        ("vit_small_patch16_224.augreg_in1k", 0.5),
        ("eva02_large_patch14_224.mim_m38m", 0.48145466),
        ("deit3_large_patch16_384.fb_in22k_ft_in1k", 0.485),
    ],
)
def test_pixel_statistics_are_those_of_the_weights(name, mean):
    assert pixel_statistics(name)[0][0] == pytest.approx(mean)


@pytest.mark.parametrize("size", [(56, 168), (140, 112), (28, 42), (196, 196), (98, 98)])
@torch.no_grad()
def test_features_of_images_of_another_size_equal_timms(size):
    """The positions are resized in the forward pass, in timm by its `dynamic_img_size`."""
    vit = timm_vit(dynamic_img_size=True, **KINDS["DINOv2 with registers"])
    config = encoder_config(vit.state_dict(), patch_size=14, image_size=98)
    model = EomtForUniversalSegmentation(config).eval()
    load_timm_encoder(model, vit.state_dict())
    pixel_values = torch.randn(2, 3, *size)
    torch.testing.assert_close(encode(model, pixel_values), vit.forward_features(pixel_values), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("patch_size, image_size", [(14, 98), (16, (96, 160)), (16, 64), (8, (40, 64))])
@torch.no_grad()
def test_features_equal_timms(kind, patch_size, image_size):
    vit = timm_vit(**KINDS[kind])
    other = timm_vit(image_size, patch_size, **KINDS[kind])
    other.load_state_dict(resampled(vit.state_dict(), other, 0 if vit.no_embed_class else vit.num_prefix_tokens))
    model = EomtForUniversalSegmentation(encoder_config(vit.state_dict(), patch_size=patch_size, image_size=image_size)).eval()
    load_timm_encoder(model, vit.state_dict())
    height, width = model.config.image_size_hw
    pixel_values = torch.randn(2, 3, height, width)
    torch.testing.assert_close(encode(model, pixel_values), other.forward_features(pixel_values), atol=1e-4, rtol=0)


@torch.no_grad()
def test_features_of_the_pretrained_vit(shared_data):
    path = shared_data("vits14/vit_small_patch14_dinov2_fp16.safetensors")
    weights = {name: tensor.float() for name, tensor in load_file(path).items()}
    model = from_timm(path, num_labels=3, image_size=224).eval()
    assert (model.config.patch_size, model.config.num_attention_heads, model.config.num_blocks) == (16, 6, 3)
    projection = model.embeddings.patch_embeddings.projection.weight
    torch.testing.assert_close(projection, resample_patch_embed(weights["patch_embed.proj.weight"], [16, 16]), atol=0, rtol=0)
    vit = timm.create_model("vit_small_patch14_dinov2", num_classes=0, img_size=224, patch_size=16, global_pool="").eval()
    vit.load_state_dict(resampled(weights, vit, 1))
    pixel_values = torch.randn(1, 3, 224, 224)
    torch.testing.assert_close(encode(model, pixel_values), vit.forward_features(pixel_values), atol=1e-4, rtol=0)
    same = from_timm(path, patch_size=14, image_size=518).embeddings  # its own patch size and grid: nothing is resampled
    torch.testing.assert_close(same.patch_embeddings.projection.weight, weights["patch_embed.proj.weight"], atol=0, rtol=0)
    torch.testing.assert_close(same.position_embeddings.weight, weights["pos_embed"][0, 1:], atol=0, rtol=0)


@torch.no_grad()
def test_by_name():
    torch.manual_seed(0)
    model = from_timm("vit_tiny_patch16_224", pretrained=False, num_labels=2, image_size=64, num_blocks=2).eval()
    assert (model.config.hidden_size, model.config.num_attention_heads, model.config.num_blocks) == (192, 3, 2)
    torch.manual_seed(0)
    vit = timm.create_model("vit_tiny_patch16_224", pretrained=False, num_classes=0)
    torch.testing.assert_close(model.layers[5].mlp.fc1.weight, vit.blocks[5].mlp.fc1.weight, atol=0, rtol=0)


def test_the_pretrained_weights_are_asked_for(monkeypatch):
    asked = []

    def create_model(name: str, **options) -> VisionTransformer:
        asked.append((name, options))
        return timm_vit(reg_tokens=4, no_embed_class=True)

    monkeypatch.setattr(timm, "create_model", create_model)
    model = from_timm("vit_small_patch14_reg4_dinov2.lvd142m", image_size=64, id2label={0: "road"})
    assert asked == [("vit_small_patch14_reg4_dinov2.lvd142m", dict(pretrained=True, num_classes=0))]
    assert (model.config.num_labels, model.config.num_register_tokens) == (1, 4)


def test_from_a_half_precision_file(tmp_path):
    vit = timm_vit()
    save_file({name: tensor.half() for name, tensor in vit.state_dict().items()}, tmp_path / "vit.safetensors")
    model = from_timm(tmp_path / "vit.safetensors", patch_size=14, image_size=98)
    assert model.dtype == torch.float32
    torch.testing.assert_close(model.layers[2].mlp.fc2.weight, vit.blocks[2].mlp.fc2.weight.half().float(), atol=0, rtol=0)


@pytest.mark.parametrize(
    "width, depth, ffn, expected",
    [(384, 12, 1536, (6, 3, False, 4)), (1024, 24, 4096, (16, 4, False, 4)), (1536, 40, None, (24, 5, True, 4))],
)
def test_the_papers_shapes_are_recognised(width, depth, ffn, expected):
    hidden = ffn or 4096
    weights = {
        "cls_token": torch.empty(1, 1, width, device="meta"),
        "patch_embed.proj.weight": torch.empty(width, 3, 14, 14, device="meta"),
        "blocks.0.mlp.fc1.weight": torch.empty(hidden if ffn else 2 * hidden, width, device="meta"),
        "blocks.0.mlp.fc2.weight": torch.empty(width, hidden, device="meta"),
        f"blocks.{depth - 1}.norm1.weight": torch.empty(width, device="meta"),
    }
    config = encoder_config(weights)
    assert (config.num_attention_heads, config.num_blocks, config.use_swiglu_ffn, config.mlp_ratio) == expected
    assert (config.num_hidden_layers, config.patch_size, config.num_register_tokens) == (depth, 16, 0)


class TestErrors:
    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="name_or_file='.*nowhere.safetensors'"):
            from_timm(tmp_path / "nowhere.safetensors")

    def test_an_unknown_name_is_told_with_those_near_it(self):
        with pytest.raises(ValueError, match="'vit_small_patch14_dino' is no model of timm.*did you mean vit_small_patch14_dinov2"):
            from_timm("vit_small_patch14_dino")

    def test_an_unknown_tag_is_told_with_those_there_are(self):
        with pytest.raises(
            ValueError, match="'vit_base_patch16_dinov3.x': timm has no such weights.*it has vit_base_patch16_dinov3.lvd"
        ):
            from_timm("vit_base_patch16_dinov3.x")

    def test_weights_that_cannot_be_downloaded(self):
        with pytest.raises(
            ConnectionError, match="'vit_tiny_patch16_224': timm's weights of it are not in the cache and couldn't be downloaded"
        ):
            from_timm("vit_tiny_patch16_224")

    @pytest.mark.parametrize("name", ["resnet18", "vit_base_patch16_rope_reg1_gap_256"])
    def test_other_networks_are_refused(self, name):
        with pytest.raises(ValueError, match=f"{name}.*VisionTransformer"):
            from_timm(name, pretrained=False)

    def test_weights_left_over_or_missing_are_named_and_nothing_is_changed(self):
        weights = timm_vit().state_dict()
        model = EomtForUniversalSegmentation(encoder_config(weights, image_size=64))
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        weights["norm_pre.weight"] = weights.pop("norm.weight")
        weights["blocks.7.norm1.weight"] = torch.ones(192)
        weights["blocks.0.norm2.weight"] = torch.ones(5)
        with pytest.raises(ValueError) as caught:
            load_timm_encoder(model, weights)
        for words in ("none for layernorm.weight", "norm_pre.weight", "layers.7.norm1.weight", "layers.0.norm2.weight is (5,)"):
            assert words in str(caught.value)
        assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())

    def test_attention_without_biases_is_refused(self):
        weights = timm_vit(qkv_bias=False).state_dict()
        model = EomtForUniversalSegmentation(encoder_config(weights, image_size=64))
        with pytest.raises(ValueError, match="layers.0.attention.k_proj.bias"):
            load_timm_encoder(model, weights)

    def test_a_classifier_is_ignored_by_name(self):
        weights = timm_vit().state_dict()
        model = EomtForUniversalSegmentation(encoder_config(weights, image_size=64))
        load_timm_encoder(model, {**weights, "head.weight": torch.ones(10, 192), "fc_norm.weight": torch.ones(192)})
        with pytest.raises(ValueError, match="no place for header.weight"):
            load_timm_encoder(model, {**weights, "header.weight": torch.ones(10, 192)})

    def test_odd_feed_forwards_and_grids_are_refused(self):
        weights = timm_vit().state_dict()
        with pytest.raises(ValueError, match="blocks.0.mlp.fc1.weight.*768 rows and fc2 700"):
            encoder_config({**weights, "blocks.0.mlp.fc2.weight": torch.empty(192, 700)})
        with pytest.raises(ValueError, match="weights has no cls_token"):
            encoder_config({name: tensor for name, tensor in weights.items() if name != "cls_token"})
        model = EomtForUniversalSegmentation(encoder_config(weights, image_size=64))
        with pytest.raises(ValueError, match="pos_embed.*47 positions"):
            load_timm_encoder(model, {**weights, "pos_embed": torch.zeros(1, 47, 192)})
