"""timm's names and shapes of plain ViTs with learned positions: DINOv2, DeiT-III and their like.

Shapes: `D` width, `F` width of the feed-forward, `h, w` patches.
"""

import math
import re

import torch
from timm.layers import resample_patch_embed
from torch import Tensor

from eomt.configuration import EomtConfig
from eomt.encoders.parts import resample_positions
from eomt.modeling_eomt import EomtForUniversalSegmentation
from eomt.weights.timm_shapes import CLASSIFIER_PREFIXES, common_fields, count_registers, require

BLOCK_NAMES = {  # timm's names inside a block and ours, where one tensor becomes one tensor
    "norm1": "norm1",
    "norm2": "norm2",
    "attn.proj": "attention.out_proj",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}


def vit_config(weights: dict[str, Tensor], config_class: type[EomtConfig] = EomtConfig, **overrides) -> EomtConfig:
    """The configuration that fits a plain ViT's weights.

    Raises:
        ValueError: for weights that are no plain ViT's.
    """
    require(weights, "blocks.0.mlp.fc1.weight")
    fields = common_fields(weights)
    use_swiglu_ffn, mlp_ratio = _feed_forward(weights, fields["hidden_size"])
    return config_class(**{**fields, "mlp_ratio": mlp_ratio, "use_swiglu_ffn": use_swiglu_ffn, **overrides})


def convert_vit(weights: dict[str, Tensor], model: EomtForUniversalSegmentation) -> tuple[dict[str, Tensor], list[str]]:
    """Our names and float32 tensors, and the names of timm's that have no counterpart."""
    require(weights, "cls_token", "pos_embed", "patch_embed.proj.weight")
    converted = convert_embeddings(weights, model.embeddings.patch_embeddings.patch_size, model.embeddings.grid_size)
    embedded = {"cls_token", "pos_embed", "reg_token", "patch_embed.proj.weight"}
    unknown = []
    for name, tensor in weights.items():
        if name in embedded or name.startswith(CLASSIFIER_PREFIXES):
            continue
        block = re.fullmatch(r"blocks\.(\d+)\.(.+)", name)
        if name == "patch_embed.proj.bias":
            converted["embeddings.patch_embeddings.projection.bias"] = tensor.float()
        elif name in ("norm.weight", "norm.bias"):
            converted[f"layer{name}"] = tensor.float()
        elif block and (parts := _convert_block_tensor(block[2], tensor.float(), model.config.use_swiglu_ffn)):
            converted |= {f"layers.{block[1]}.{part}": values for part, values in parts.items()}
        else:
            unknown.append(name)
    for layer in range(model.config.num_hidden_layers):  # a ViT without LayerScale is one with scales of 1
        for scale in ("layer_scale1", "layer_scale2"):
            converted.setdefault(f"layers.{layer}.{scale}.lambda1", torch.ones(model.config.hidden_size))
    return converted, unknown


def _convert_block_tensor(name: str, tensor: Tensor, use_swiglu_ffn: bool) -> dict[str, Tensor]:
    """A tensor of a block by our names, none where timm's name is unknown."""
    module, _, kind = name.rpartition(".")
    if module == "attn.qkv":
        return {f"attention.{part}_proj.{kind}": values for part, values in zip("qkv", tensor.chunk(3), strict=True)}
    if name in ("ls1.gamma", "ls2.gamma"):
        return {f"layer_scale{name[2]}.lambda1": tensor}
    if use_swiglu_ffn and module == "mlp.fc1":  # (2F, D), the half under the SiLU first
        gate, up = tensor.chunk(2)
        return {f"mlp.gate_proj.{kind}": gate, f"mlp.up_proj.{kind}": up}
    if use_swiglu_ffn and module == "mlp.fc2":
        return {f"mlp.down_proj.{kind}": tensor}
    return {f"{BLOCK_NAMES[module]}.{kind}": tensor} if module in BLOCK_NAMES else {}


def convert_embeddings(weights: dict[str, Tensor], patch_size: tuple[int, int], grid: tuple[int, int]) -> dict[str, Tensor]:
    """Class token, registers, patch projection and patch positions for this patch size and grid, float32."""
    cls_token = weights["cls_token"].float()
    num_registers = count_registers(weights)
    registers = weights["reg_token"].float() if num_registers else cls_token.new_zeros(1, 0, cls_token.shape[-1])
    prefix = torch.cat([cls_token, registers], dim=1)  # (1, 1 + registers, D)
    positions = weights["pos_embed"][0].float()  # (prefix positions + side * side, D)
    side, num_prefix = _position_grid(len(positions), num_registers)
    prefix[:, :num_prefix] += positions[:num_prefix]
    return {
        "embeddings.cls_token": prefix[:, :1],
        "embeddings.register_tokens": prefix[:, 1:],
        "embeddings.patch_embeddings.projection.weight": resample_patch_embed(
            weights["patch_embed.proj.weight"].float(), list(patch_size)
        ),
        "embeddings.position_embeddings.weight": resample_positions(positions[num_prefix:], (side, side), grid),
    }


def _position_grid(count: int, num_registers: int) -> tuple[int, int]:
    """Side of the square position grid, and how many prefix tokens have positions of their own in front of it."""
    for num_prefix in (0, 1, 1 + num_registers):
        side = math.isqrt(max(0, count - num_prefix))
        if side and side * side == count - num_prefix:
            return side, num_prefix
    raise ValueError(
        f"weights['pos_embed'] holds {count} positions; expected a square grid, alone or after the class token's"
        + (f" and {num_registers} registers'" if num_registers else "")
    )


def _feed_forward(weights: dict[str, Tensor], hidden_size: int) -> tuple[bool, int]:
    """Whether the feed-forward is a packed SwiGLU, and the `mlp_ratio` that gives its width."""
    first, second = len(weights["blocks.0.mlp.fc1.weight"]), weights["blocks.0.mlp.fc2.weight"].shape[1]
    if first == 2 * second:
        ratio = round(1.5 * second / hidden_size)
        if (int(ratio * hidden_size * 2 / 3) + 7) // 8 * 8 == second:
            return True, ratio
    elif first == second and first % hidden_size == 0:
        return False, first // hidden_size
    raise ValueError(
        f"weights['blocks.0.mlp.fc1.weight'] has {first} rows and fc2 {second} columns at width {hidden_size}; expected an MLP "
        "of a whole multiple of the width, or a packed SwiGLU of two thirds of one, rounded up to a multiple of 8"
    )
