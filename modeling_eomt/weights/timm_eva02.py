"""timm's names and shapes of EVA-02.

Shapes: `D` width.
"""

import re

from torch import Tensor

from eomt.configuration import EomtEva02Config
from eomt.modeling_eomt_eva02 import EomtEva02ForUniversalSegmentation
from eomt.weights.timm_shapes import common_fields, require
from eomt.weights.timm_vit import convert_embeddings

EMBEDDED = ("cls_token", "pos_embed", "patch_embed.proj.weight")
LEFT_OUT = ("head.", "mask_token", "lm_head.")  # of a classifier and of the pre-training
FINAL_NORMS = ("norm", "fc_norm")  # timm pools by average, and calls the pre-training's final norm `fc_norm` then
BLOCK_NAMES = {  # timm's names inside a block and ours
    "norm1": "norm1",
    "norm2": "norm2",
    "attn.q_proj": "attention.q_proj",
    "attn.k_proj": "attention.k_proj",
    "attn.v_proj": "attention.v_proj",
    "attn.proj": "attention.out_proj",
    "mlp.fc1_g": "mlp.gate_proj",
    "mlp.fc1_x": "mlp.up_proj",
    "mlp.norm": "mlp.norm",
    "mlp.fc2": "mlp.down_proj",
}


def eva02_config(weights: dict[str, Tensor], config_class: type[EomtEva02Config] = EomtEva02Config, **overrides) -> EomtEva02Config:
    """The configuration that fits an EVA-02 of timm, base or large.

    Raises:
        ValueError: for weights that are no EVA-02's.
    """
    fields = {**common_fields(weights), "intermediate_size": weights["blocks.0.mlp.fc2.weight"].shape[1]}
    return config_class(**{**fields, **overrides})


def convert_eva02(weights: dict[str, Tensor], model: EomtEva02ForUniversalSegmentation) -> tuple[dict[str, Tensor], list[str]]:
    """Our names and float32 tensors, and the names of timm's that have no counterpart.

    Of two final norms, `fc_norm` is the trained one: timm's loader of the published weights fills it alone.
    """
    require(weights, *EMBEDDED)
    converted = convert_embeddings(weights, model.embeddings.patch_embeddings.patch_size, model.embeddings.grid_size)
    unknown = []
    for final in FINAL_NORMS:
        for kind in ("weight", "bias"):
            if f"{final}.{kind}" in weights:
                converted[f"layernorm.{kind}"] = weights[f"{final}.{kind}"].float()
    for name, tensor in weights.items():
        module, _, kind = name.rpartition(".")
        block = re.fullmatch(r"blocks\.(\d+)\.(.+)", module)
        if name in EMBEDDED or module in FINAL_NORMS or name.startswith(LEFT_OUT):
            continue
        if name == "patch_embed.proj.bias":
            converted["embeddings.patch_embeddings.projection.bias"] = tensor.float()
        elif block and block[2] in BLOCK_NAMES:
            converted[f"layers.{block[1]}.{BLOCK_NAMES[block[2]]}.{kind}"] = tensor.float()
        else:
            unknown.append(name)
    return converted, unknown
