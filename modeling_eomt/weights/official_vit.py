"""Our names of a plain ViT's tensors -> timm's, by which the authors' repository stores DINOv2: the way back of `timm_vit`.

Queries, keys and values are one tensor there, and so are the two halves of giant's SwiGLU.
"""

import re

import torch
from torch import Tensor

from eomt.weights.timm_vit import BLOCK_NAMES

EMBEDDINGS = {
    "embeddings.cls_token": "cls_token",
    "embeddings.register_tokens": "reg_token",
    "embeddings.patch_embeddings.projection.weight": "patch_embed.proj.weight",
    "embeddings.patch_embeddings.projection.bias": "patch_embed.proj.bias",
    "embeddings.position_embeddings.weight": "pos_embed",
    "layernorm.weight": "norm.weight",
    "layernorm.bias": "norm.bias",
}
IN_BLOCKS = {ours: theirs for theirs, ours in BLOCK_NAMES.items()} | {
    "mlp.down_proj": "mlp.fc2",
    "layer_scale1": "ls1",
    "layer_scale2": "ls2",
}


def timm_tensors(encoder: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of an encoder by timm's names, positions of patches alone."""
    tensors: dict[str, Tensor] = {}
    parts: dict[str, dict[int, Tensor]] = {}  # of tensors that timm joins: name -> position -> part
    for name, tensor in encoder.items():
        if name in EMBEDDINGS:
            if tensor.numel():  # of a ViT without registers there is an empty tensor here, and none there
                tensors[EMBEDDINGS[name]] = tensor[None] if name.endswith("position_embeddings.weight") else tensor
        elif joint := _joint_name(name):
            parts.setdefault(joint[0], {})[joint[1]] = tensor
        else:
            block, module, kind = re.fullmatch(r"layers\.(\d+)\.(.+)\.(\w+)", name).groups()
            tensors[f"blocks.{block}.{IN_BLOCKS[module]}.{'gamma' if kind == 'lambda1' else kind}"] = tensor
    return tensors | {name: torch.cat([found[index] for index in sorted(found)]) for name, found in parts.items()}


def _joint_name(name: str) -> tuple[str, int] | None:
    """The tensor of timm that ours is a part of, and which part; None for one that stays alone."""
    if match := re.fullmatch(r"layers\.(\d+)\.attention\.([qkv])_proj\.(\w+)", name):
        return f"blocks.{match[1]}.attn.qkv.{match[3]}", "qkv".index(match[2])
    if match := re.fullmatch(r"layers\.(\d+)\.mlp\.(gate|up)_proj\.(\w+)", name):
        return f"blocks.{match[1]}.mlp.fc1.{match[3]}", ("gate", "up").index(match[2])
    return None
