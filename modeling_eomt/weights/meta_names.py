"""The names in Meta's own files of DINOv2 and DINOv3 -> timm's.

Shapes: `D` width.
"""

import re

from torch import Tensor

PRETRAINING = ("mask_token", "bias_mask", "rope_embed.periods", "local_cls_norm")  # no part of the features
TOKENS = {"register_tokens": "reg_token", "storage_tokens": "reg_token"}
DINOV2_SWIGLU = {"mlp.w12": "mlp.fc1", "mlp.w3": "mlp.fc2"}  # giant's, packed
DINOV3_BLOCK = {"mlp.w1": "mlp.fc1_g", "mlp.w2": "mlp.fc1_x", "mlp.w3": "mlp.fc2", "ls1.gamma": "gamma_1", "ls2.gamma": "gamma_2"}


def with_timm_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of Meta's files by timm's names; others as they are."""
    is_dinov3 = "storage_tokens" in weights
    if not is_dinov3 and "register_tokens" not in weights and "mask_token" not in weights:
        return weights
    names = DINOV3_BLOCK if is_dinov3 else DINOV2_SWIGLU
    renamed: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if any(part in name for part in PRETRAINING):
            continue
        if is_dinov3 and name.endswith("attn.qkv.bias"):  # of keys there is none: what stands in its place is masked
            query, _, value = tensor.chunk(3)
            renamed[name.replace("qkv.bias", "q_bias")], renamed[name.replace("qkv.bias", "v_bias")] = query, value
            continue
        block = re.fullmatch(r"(blocks\.\d+\.)(.+?)(\.weight|\.bias)?", name)
        if block and block[2] in names:
            renamed[f"{block[1]}{names[block[2]]}{block[3] or ''}"] = tensor
        else:
            renamed[TOKENS.get(name, name)] = tensor
    return renamed
