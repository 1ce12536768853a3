"""timm's names and shapes of DINOv3, whose positions are rotary alone.

Shapes: `D` width.
"""

import re

import torch
from timm.layers import resample_patch_embed
from torch import Tensor

from eomt.configuration import EomtDinov3Config
from eomt.modeling_eomt_dinov3 import EomtDinov3ForUniversalSegmentation
from eomt.weights.timm_shapes import CLASSIFIER_PREFIXES, common_fields, require

LAYER_NORM_EPS = 1e-5  # of the released encoders; in no file, and not the configuration's default
WIDTH_7B = 4096  # the one size with heads of 128 channels, and without biases of queries and values
OUTER_NAMES = {
    "cls_token": "embeddings.cls_token",
    "reg_token": "embeddings.register_tokens",
    "patch_embed.proj.bias": "embeddings.patch_embeddings.bias",
    "norm.weight": "layernorm.weight",
    "norm.bias": "layernorm.bias",
}
BLOCK_NAMES = {  # timm's names inside a block and ours, where one tensor becomes one tensor
    "attn.q_bias": "attention.q_proj.bias",
    "attn.v_bias": "attention.v_proj.bias",
    "gamma_1": "layer_scale1.lambda1",
    "gamma_2": "layer_scale2.lambda1",
    **{
        f"{theirs}.{kind}": f"{ours}.{kind}"
        for theirs, ours in {
            "norm1": "norm1",
            "norm2": "norm2",
            "attn.proj": "attention.o_proj",
            "mlp.fc1": "mlp.up_proj",
            "mlp.fc1_g": "mlp.gate_proj",
            "mlp.fc1_x": "mlp.up_proj",
            "mlp.fc2": "mlp.down_proj",
        }.items()
        for kind in ("weight", "bias")
    },
}


def dinov3_config(
    weights: dict[str, Tensor], config_class: type[EomtDinov3Config] = EomtDinov3Config, **overrides
) -> EomtDinov3Config:
    """The configuration that fits a DINOv3 of timm.

    Queries and values get biases in every size but 7B, as in transformers' files, whether the file has them or not: where timm's
    leaves them out, they are zero.

    Raises:
        ValueError: for weights that are no DINOv3's.
    """
    require(weights, "reg_token", "blocks.0.gamma_1")
    fields = common_fields(weights)
    gated, is_7b = "blocks.0.mlp.fc1_g.weight" in weights, fields["hidden_size"] == WIDTH_7B
    derived = dict(
        intermediate_size=weights["blocks.0.mlp.fc2.weight"].shape[1],
        use_gated_mlp=gated,
        hidden_act="silu" if gated else "gelu",
        num_attention_heads=fields["hidden_size"] // 128 if is_7b else fields["num_attention_heads"],
        query_bias=not is_7b,
        value_bias=not is_7b,
        layer_norm_eps=LAYER_NORM_EPS,
    )
    return config_class(**{**fields, **derived, **overrides})


def convert_dinov3(weights: dict[str, Tensor], model: EomtDinov3ForUniversalSegmentation) -> tuple[dict[str, Tensor], list[str]]:
    """Our names and float32 tensors, and the names of timm's that have no counterpart."""
    require(weights, "patch_embed.proj.weight")
    config, unknown = model.config, []
    patches = resample_patch_embed(weights["patch_embed.proj.weight"].float(), list(config.patch_size_hw))
    converted = {"embeddings.patch_embeddings.weight": patches}
    for name, tensor in weights.items():
        if name == "patch_embed.proj.weight" or name.startswith(CLASSIFIER_PREFIXES):
            continue
        block = re.fullmatch(r"blocks\.(\d+)\.(.+)", name)
        if name in OUTER_NAMES:
            converted[OUTER_NAMES[name]] = tensor.float()
        elif block and block[2] == "attn.qkv.weight":
            for part, values in zip("qkv", tensor.float().chunk(3), strict=True):
                converted[f"layers.{block[1]}.attention.{part}_proj.weight"] = values
        elif block and block[2] in BLOCK_NAMES:
            converted[f"layers.{block[1]}.{BLOCK_NAMES[block[2]]}"] = tensor.float()
        else:
            unknown.append(name)
    zeros = torch.zeros(config.hidden_size)
    for layer in range(config.num_hidden_layers):
        for part in ["q"] * config.query_bias + ["v"] * config.value_bias:
            converted.setdefault(f"layers.{layer}.attention.{part}_proj.bias", zeros)
    return converted, unknown
