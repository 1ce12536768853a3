"""The oracles are timm's own filters, which turn Meta's files into its ViTs' weights."""

import pytest
import timm
import torch
from timm.models import eva, vision_transformer
from torch import Tensor

from eomt.weights.meta_names import with_timm_names
from eomt.weights.timm import from_timm

WIDTH = 192
DINOV2 = {"S": {}, "giant": dict(mlp_layer=timm.layers.SwiGLUPacked, mlp_ratio=2.66667 * 2, act_layer=torch.nn.SiLU)}


def dinov2_file(registers: int, giant: bool) -> dict[str, Tensor]:
    """A file as Meta writes it, of two blocks at patch size 14 and 4 x 4 patches."""
    torch.manual_seed(0)
    weights = {"cls_token": torch.randn(1, 1, WIDTH), "mask_token": torch.randn(1, WIDTH), "pos_embed": torch.randn(1, 17, WIDTH)}
    if registers:
        weights["register_tokens"] = torch.randn(1, registers, WIDTH)
    weights |= patches_and_norm()
    hidden = 512 if giant else 4 * WIDTH
    for block in ("blocks.0.", "blocks.1."):
        weights |= {f"{block}ls{number}.gamma": torch.randn(WIDTH) for number in (1, 2)}
        weights |= linear(f"{block}attn.qkv", WIDTH, 3 * WIDTH) | linear(f"{block}attn.proj", WIDTH, WIDTH) | norms(block)
        first, last = ("mlp.w12", "mlp.w3") if giant else ("mlp.fc1", "mlp.fc2")
        weights |= linear(f"{block}{first}", WIDTH, hidden * (2 if giant else 1)) | linear(f"{block}{last}", hidden, WIDTH)
    return weights


def dinov3_file(gated: bool) -> dict[str, Tensor]:
    torch.manual_seed(0)
    weights = {
        "cls_token": torch.randn(1, 1, WIDTH),
        "storage_tokens": torch.randn(1, 4, WIDTH),
        "mask_token": torch.randn(1, WIDTH),
    }
    weights |= patches_and_norm() | {"rope_embed.periods": torch.randn(16, dtype=torch.bfloat16)}
    for block in ("blocks.0.", "blocks.1."):
        weights |= {f"{block}ls{number}.gamma": torch.randn(WIDTH) for number in (1, 2)}
        weights |= linear(f"{block}attn.qkv", WIDTH, 3 * WIDTH) | linear(f"{block}attn.proj", WIDTH, WIDTH) | norms(block)
        weights[f"{block}attn.qkv.bias_mask"] = torch.tensor([1.0, float("nan"), 1.0]).repeat_interleave(WIDTH)
        weights[f"{block}attn.qkv.bias"][WIDTH : 2 * WIDTH] = float("nan")
        if gated:
            weights |= (
                linear(f"{block}mlp.w1", WIDTH, 2 * WIDTH)
                | linear(f"{block}mlp.w2", WIDTH, 2 * WIDTH)
                | linear(f"{block}mlp.w3", 2 * WIDTH, WIDTH)
            )
        else:
            weights |= linear(f"{block}mlp.fc1", WIDTH, 4 * WIDTH) | linear(f"{block}mlp.fc2", 4 * WIDTH, WIDTH)
    return weights


def patches_and_norm() -> dict[str, Tensor]:
    patches = {"patch_embed.proj.weight": torch.randn(WIDTH, 3, 14, 14), "patch_embed.proj.bias": torch.randn(WIDTH)}
    return patches | {"norm.weight": torch.randn(WIDTH), "norm.bias": torch.randn(WIDTH)}


def norms(block: str) -> dict[str, Tensor]:
    return {f"{block}norm{number}.{kind}": torch.randn(WIDTH) for number in (1, 2) for kind in ("weight", "bias")}


def linear(name: str, inputs: int, outputs: int) -> dict[str, Tensor]:
    return {f"{name}.weight": torch.randn(outputs, inputs), f"{name}.bias": torch.randn(outputs)}


def of_encoder(model: torch.nn.Module) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in model.state_dict().items() if name.startswith(("embeddings", "layer"))}


@pytest.mark.parametrize("size", DINOV2)
@pytest.mark.parametrize("registers", [0, 4])
def test_a_dinov2_of_meta_starts_the_model_that_timms_conversion_starts(tmp_path, size, registers):
    stored = dinov2_file(registers, size == "giant")
    vit = vision_transformer.VisionTransformer(
        img_size=56, patch_size=14, embed_dim=WIDTH, depth=2, num_heads=3, num_classes=0, init_values=1.0, reg_tokens=registers,
        no_embed_class=registers > 0, **DINOV2[size],
    )  # fmt: skip
    vit.load_state_dict(vision_transformer.checkpoint_filter_fn(dict(stored), vit))
    torch.save(stored, tmp_path / "meta.pth")
    torch.save(vit.state_dict(), tmp_path / "timm.pth")
    ours, expected = (of_encoder(from_timm(tmp_path / f"{name}.pth", image_size=64)) for name in ("meta", "timm"))
    assert ours.keys() == expected.keys() and all(tensor.equal(expected[name]) for name, tensor in ours.items())


@pytest.mark.parametrize("gated", [False, True])
def test_a_dinov3_of_meta_starts_the_model_that_timms_conversion_starts(tmp_path, gated):
    stored = dinov3_file(gated)
    name = "vit_small_plus_patch16_dinov3_qkvb" if gated else "vit_small_patch16_dinov3_qkvb"
    vit = timm.create_model(name, pretrained=False, num_classes=0, embed_dim=WIDTH, depth=2, num_heads=3, patch_size=14,
                            mlp_ratio=2 if gated else 4)  # fmt: skip
    vit.load_state_dict(eva.checkpoint_filter_fn(dict(stored), vit))
    torch.save(stored, tmp_path / "meta.pth")
    torch.save(vit.state_dict(), tmp_path / "timm.pth")
    ours, expected = (of_encoder(from_timm(tmp_path / f"{file}.pth", image_size=64)) for file in ("meta", "timm"))
    assert ours.keys() == expected.keys() and all(tensor.equal(expected[key]) for key, tensor in ours.items())


def test_other_names_stay():
    weights = {"cls_token": torch.zeros(1), "blocks.0.mlp.w3.weight": torch.zeros(1)}
    assert with_timm_names(weights) is weights
