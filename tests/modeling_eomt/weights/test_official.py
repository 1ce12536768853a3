"""The oracle is a network put together here as the authors' is: a ViT of timm, and queries and heads by their names."""

import copy
import math
import re

import pytest
import torch
from timm.layers import LayerNorm2d, SwiGLUPacked
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from transformers import DINOv3ViTConfig, DINOv3ViTModel

from eomt import (
    EomtConfig,
    EomtDinov3Config,
    EomtDinov3ForUniversalSegmentation,
    EomtEva02Config,
    EomtEva02ForUniversalSegmentation,
    EomtForUniversalSegmentation,
)
from eomt.weights.official import from_official, is_official, to_official

WIDTH, QUERIES, CLASSES, LAST = 192, 7, 5, 2
KINDS = {"MLP": dict(), "giant's SwiGLU": dict(mlp_layer=SwiGLUPacked, mlp_ratio=2.66667 * 2, act_layer=nn.SiLU)}


class OfficialUpscaling(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.ConvTranspose2d(WIDTH, WIDTH, 2, 2)
        self.conv2 = nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH, bias=False)
        self.norm = LayerNorm2d(WIDTH)

    def forward(self, features: Tensor) -> Tensor:
        return self.norm(self.conv2(nn.functional.gelu(self.conv1(features))))


class OfficialNetwork(nn.Module):
    """EoMT without masked attention, from pixels that are normalised already."""

    def __init__(self, image_size: int = 64, **kind):
        super().__init__()
        torch.manual_seed(0)
        kind |= dict(img_size=image_size, patch_size=16, embed_dim=WIDTH, depth=3, num_heads=3, num_classes=0, global_pool="")
        backbone = VisionTransformer(init_values=0.1, reg_tokens=4, no_embed_class=True, **kind)
        self.encoder = nn.Module()
        self.encoder.backbone = backbone
        self.encoder.register_buffer("pixel_mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.encoder.register_buffer("pixel_std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))
        self.register_buffer("attn_mask_probs", torch.zeros(LAST))
        self.q = nn.Embedding(QUERIES, WIDTH)
        self.class_head = nn.Linear(WIDTH, CLASSES + 1)
        layers = [nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH)]
        self.mask_head = nn.Sequential(*layers)
        self.upscale = nn.Sequential(OfficialUpscaling(), OfficialUpscaling())
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter) / parameter[0].numel() ** 0.5)

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
        backbone = self.encoder.backbone
        tokens = backbone._pos_embed(backbone.patch_embed(pixel_values))
        for index, block in enumerate(backbone.blocks):
            if index == len(backbone.blocks) - LAST:
                tokens = torch.cat([self.q.weight.expand(len(tokens), -1, -1), tokens], 1)
            tokens = block(tokens)
        tokens = backbone.norm(tokens)
        queries, patches = tokens[:, :QUERIES], tokens[:, QUERIES + 5 :]
        side = math.isqrt(patches.shape[1])
        features = self.upscale(patches.transpose(1, 2).reshape(len(tokens), WIDTH, side, side))
        return torch.einsum("bqc,bchw->bqhw", self.mask_head(queries), features), self.class_head(queries)

    def stored(self) -> dict[str, Tensor]:
        """What the authors' training stores."""
        weights = {f"network.{name}": tensor for name, tensor in self.state_dict().items()}
        return weights | {"criterion.empty_weight": torch.tensor([1.0] * CLASSES + [0.1])}


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_a_model_of_an_official_checkpoint_predicts_the_same(kind):
    official = OfficialNetwork(**KINDS[kind]).eval()
    model = from_official(official.stored())
    pixel_values = torch.randn(2, 3, 64, 64)
    masks, classes = official(pixel_values)
    outputs = model(pixel_values)
    torch.testing.assert_close(outputs.masks_queries_logits, masks, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(outputs.class_queries_logits, classes, atol=1e-5, rtol=1e-5)
    assert (model.config.image_size, model.config.num_blocks, model.config.num_queries) == (64, LAST, QUERIES)


@pytest.mark.parametrize("kind", KINDS)
def test_a_round_trip_changes_no_bit(kind):
    stored = OfficialNetwork(**KINDS[kind]).stored()
    stored["network.attn_mask_probs"] = torch.tensor([0.25, 1.0])
    again = to_official(from_official(stored))
    assert again.keys() == stored.keys()
    assert all(again[name].equal(stored[name]) for name in stored)
    official = OfficialNetwork(**KINDS[kind])
    official.load_state_dict({name.removeprefix("network."): tensor for name, tensor in again.items() if "criterion" not in name})


def test_a_model_without_registers_passes_both_ways():
    torch.manual_seed(0)
    config = EomtConfig(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=1, num_blocks=1, image_size=32, num_register_tokens=0
    )
    model = EomtForUniversalSegmentation(config)
    again = from_official(to_official(model))
    assert all(tensor.equal(model.state_dict()[name]) for name, tensor in again.state_dict().items())


def test_compiled_names_and_half_precision_are_read():
    stored = OfficialNetwork().stored()
    half = {name.replace("network.", "network._orig_mod.", 1): tensor.half() for name, tensor in stored.items()}
    model = from_official({name.replace("network._orig_mod.", "network."): tensor for name, tensor in half.items()})
    assert from_official(half).state_dict()["query.weight"].equal(model.query.weight)
    assert model.query.weight.dtype == torch.float32


def test_another_image_size_resizes_the_positions():
    stored = OfficialNetwork().stored()
    model = from_official(stored, image_size=96, id2label=dict(enumerate("abcde")))
    assert model.embeddings.position_embeddings.weight.shape == (36, WIDTH)
    assert model.config.image_size == 96 and model.config.id2label[4] == "e"


@pytest.fixture(params=["MLP", "gated"])
def dinov3(request) -> EomtDinov3ForUniversalSegmentation:
    torch.manual_seed(0)
    gated = dict(use_gated_mlp=True, hidden_act="silu") if request.param == "gated" else {}
    config = EomtDinov3Config(
        hidden_size=128, num_hidden_layers=3, num_attention_heads=2, intermediate_size=256, num_blocks=2, image_size=64,
        num_queries=QUERIES, num_labels=CLASSES, layer_norm_eps=1e-5, **gated,
    )  # fmt: skip
    model = EomtDinov3ForUniversalSegmentation(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter) / parameter[0].numel() ** 0.5)
    model.set_attn_mask_probs([0.5, 0.25])
    return model


@pytest.fixture
def base(dinov3) -> EomtDinov3ForUniversalSegmentation:
    """The encoder that a training started from."""
    start = copy.deepcopy(dinov3)
    with torch.no_grad():
        for parameter in start.parameters():
            parameter.sub_(0.01 * torch.randn_like(parameter))
    return start


def test_a_dinov3_has_the_names_of_transformers_vit_in_the_backbone_and_passes_without_a_change(dinov3):
    stored = to_official(dinov3)
    backbone = {name.removeprefix("network.encoder.backbone.") for name in stored if "backbone" in name}
    sizes = dict(hidden_size=128, num_hidden_layers=3, num_attention_heads=2, intermediate_size=256, num_register_tokens=4)
    vit = DINOv3ViTModel(DINOv3ViTConfig(**sizes, use_gated_mlp=dinov3.config.use_gated_mlp))
    theirs = {re.sub(r"^embeddings\.", "patch_embed.", name).replace("model.layer.", "blocks.") for name in vit.state_dict()}
    theirs -= {"patch_embed.mask_token"}
    assert backbone == theirs
    again = from_official(stored, image_size=64)
    assert again.config.to_dict() == {**dinov3.config.to_dict(), "dtype": again.config.dtype}
    assert all(tensor.equal(dinov3.state_dict()[name]) for name, tensor in again.state_dict().items())


@torch.no_grad()
def test_differences_to_the_released_encoder_need_it_and_give_the_model_again(dinov3, base):
    stored = to_official(dinov3, base)
    assert not stored["network.encoder.pixel_mean"].any() and stored["network.attn_mask_probs"].tolist() == [-0.5, -0.75]
    assert stored["network.q.weight"].equal(dinov3.query.weight)
    norm = stored["network.encoder.backbone.norm.weight"]
    assert norm.equal(dinov3.layernorm.weight - base.layernorm.weight)
    again = from_official(stored, base, image_size=64)
    pixel_values = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(
        again(pixel_values).masks_queries_logits, dinov3(pixel_values).masks_queries_logits, atol=1e-5, rtol=1e-5
    )
    assert again.attn_mask_probs.tolist() == [0.5, 0.25]
    with pytest.raises(ValueError, match="differences to a released DINOv3: give that encoder as base"):
        from_official(stored)
    with pytest.raises(ValueError, match="base has no meaning: weights are no differences"):
        from_official(to_official(dinov3), base)
    del base.layers[2]
    with pytest.raises(ValueError, match="don't fit base.*no place for layers.2.*give the released DINOv3 of that size"):
        from_official(stored, base)
    with pytest.raises(ValueError, match="don't fit the encoder: none for layers.2.*as base"):
        to_official(dinov3, base)


def test_encoders_that_the_authors_code_lacks_are_refused(base):
    config = EomtEva02Config(hidden_size=64, num_hidden_layers=2, num_attention_heads=1, num_blocks=1, image_size=32)
    with pytest.raises(ValueError, match="'eomt_eva02': the authors' format has DINOv2 and DINOv3 alone"):
        to_official(EomtEva02ForUniversalSegmentation(config))
    with pytest.raises(ValueError, match="base has no meaning for model_type='eomt'"):
        to_official(from_official(OfficialNetwork().stored()), base)


BROKEN = {
    "a missing tensor": ("network.mask_head.2.bias", None, "none for mask_head.fc2.bias"),
    "a missing tensor of the backbone": ("network.encoder.backbone.blocks.1.norm1.bias", None, "none for layers.1.norm1.bias"),
    "an unknown tensor": ("network.adapter.weight", torch.ones(2), "no place for network.adapter.weight"),
    "an unknown tensor of the backbone": (
        "network.encoder.backbone.extra",
        torch.ones(2),
        "no place for network.encoder.backbone.extra",
    ),
    "another shape": ("network.class_head.bias", torch.ones(9), r"class_predictor.bias is \(9,\), the model's \(6,\)"),
    "other pixels": ("network.encoder.pixel_mean", torch.zeros(1, 3, 1, 1), "not ImageNet's"),
    "no grid": ("network.encoder.backbone.pos_embed", torch.ones(1, 15, WIDTH), "15 positions, which are no square grid"),
    "no queries": ("network.q.weight", None, "lack query.weight"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_what_does_not_fit_is_named(fault):
    name, tensor, message = BROKEN[fault]
    stored = OfficialNetwork().stored()
    if tensor is None:
        del stored[name]
    else:
        stored[name] = tensor
    with pytest.raises(ValueError, match=message):
        from_official(stored)


def test_the_authors_files_are_told_by_their_names():
    stored = OfficialNetwork().stored()
    assert is_official(set(stored)) and not is_official({name.removeprefix("network.") for name in stored})
