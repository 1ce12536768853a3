"""Starts a model from a DINOv2 in transformers' format (`dinov2`, `dinov2_with_registers`), as Meta publishes it on the Hub."""

import re

import torch
from torch import Tensor
from transformers import AutoModel

from eomt.mask_classifier import MaskClassifier
from eomt.weights.filling import fill_encoder
from eomt.weights.timm import VIT, variant_of

EMBEDDINGS = {
    "embeddings.cls_token": "cls_token",
    "embeddings.register_tokens": "reg_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.patch_embeddings.projection.weight": "patch_embed.proj.weight",
    "embeddings.patch_embeddings.projection.bias": "patch_embed.proj.bias",
    "layernorm.weight": "norm.weight",
    "layernorm.bias": "norm.bias",
}
IN_BLOCKS = {"layer_scale1.lambda1": "ls1.gamma", "layer_scale2.lambda1": "ls2.gamma"} | {
    f"{theirs}.{kind}": f"{timm}.{kind}"
    for theirs, timm in {
        "norm1": "norm1",
        "norm2": "norm2",
        "attention.o_proj": "attn.proj",
        "mlp.fc1": "mlp.fc1",
        "mlp.fc2": "mlp.fc2",
        "mlp.down_proj": "mlp.fc2",
    }.items()
    for kind in ("weight", "bias")
}
JOINED = {"attn.qkv": [f"attention.{part}_proj" for part in "qkv"], "mlp.fc1": ["mlp.gate_proj", "mlp.up_proj"]}


def from_dinov2_vit(name_or_folder: str, **overrides) -> MaskClassifier:
    """A model whose encoder is a DINOv2 of transformers and whose queries and heads are new, in float32.

    Args:
        name_or_folder: a Hub name (`facebook/dinov2-with-registers-small`) or a folder.
        overrides: any field of [`EomtConfig`]; those of the encoder are its own otherwise, but for a patch size of 16.
            `model_type="eomt_ladder"` and `row` make the model of a row of Table 1.

    Raises:
        OSError: there is no such checkpoint.
        ValueError: naming weights that are missing, unknown or of another shape; or a DINOv2 can't start a model of that type.
    """
    family = variant_of(VIT, overrides.pop("model_type", None))
    vit, info = AutoModel.from_pretrained(name_or_folder, dtype=torch.float32, output_loading_info=True)
    loaded = {name: tensor for name, tensor in vit.state_dict().items() if name not in info["missing_keys"]}
    loaded.pop("embeddings.mask_token", None)  # of the pre-training alone
    weights = timm_names(loaded)
    shared = {"num_attention_heads": vit.config.num_attention_heads, "layer_norm_eps": vit.config.layer_norm_eps}
    if not vit.config.use_swiglu_ffn:  # gated by SiLU whatever the field says, which is then of the heads alone
        shared["hidden_act"] = vit.config.hidden_act
    model = family.model_class(family.config(weights, **{**shared, **overrides}))
    converted, unknown = family.convert(weights, model)
    fill_encoder(model, converted, unknown + sorted(info["unexpected_keys"]))
    return model


def timm_names(loaded: dict[str, Tensor]) -> dict[str, Tensor]:
    """transformers' tensors by timm's names; what has none keeps its own."""
    weights: dict[str, Tensor] = {}
    for name, tensor in loaded.items():
        block = re.fullmatch(r"encoder\.layer\.(\d+)\.(.+)", name)
        if not block:
            weights[EMBEDDINGS.get(name, name)] = tensor
        elif block[2] in IN_BLOCKS:
            weights[f"blocks.{block[1]}.{IN_BLOCKS[block[2]]}"] = tensor
        else:
            module, _, kind = block[2].rpartition(".")
            joint = next((joint for joint, parts in JOINED.items() if module in parts), None)
            if joint is None:
                weights[name] = tensor
            elif module == JOINED[joint][0]:
                parts = [loaded[f"encoder.layer.{block[1]}.{part}.{kind}"] for part in JOINED[joint]]
                weights[f"blocks.{block[1]}.{joint}.{kind}"] = torch.cat(parts)
    return weights
