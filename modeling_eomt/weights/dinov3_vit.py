"""Starts a model from a DINOv3 in transformers' format (`dinov3_vit`), as Meta publishes it on the Hub."""

import torch
from transformers import DINOv3ViTModel

from eomt.mask_classifier import MaskClassifier
from eomt.weights.filling import fill_encoder
from eomt.weights.timm import DINOV3, variant_of
from eomt.weights.timm_shapes import blocks_with_queries

SHARED_FIELDS = (
    "attention_dropout",
    "drop_path_rate",
    "hidden_act",
    "hidden_size",
    "initializer_range",
    "intermediate_size",
    "key_bias",
    "layer_norm_eps",
    "layerscale_value",
    "mlp_bias",
    "num_attention_heads",
    "num_channels",
    "num_hidden_layers",
    "num_register_tokens",
    "patch_size",
    "pos_embed_jitter",
    "pos_embed_rescale",
    "pos_embed_shift",
    "proj_bias",
    "query_bias",
    "use_gated_mlp",
    "value_bias",
)


def from_dinov3_vit(name_or_folder: str, **overrides) -> MaskClassifier:
    """A model whose encoder is a DINOv3 of transformers and whose queries and heads are new, in float32.

    Args:
        name_or_folder: a Hub name (`facebook/dinov3-vits16-pretrain-lvd1689m`) or a folder.
        overrides: any field of [`EomtDinov3Config`]; those of the encoder are its own otherwise, and `num_blocks` the paper's.
            `model_type="eomt_dinov3_ladder"` and `row` make the model of a row of Table 1.

    Raises:
        OSError: there is no such checkpoint.
        ValueError: naming weights that are missing, unknown or of another shape; or a DINOv3 can't start a model of that type.
    """
    family = variant_of(DINOV3, overrides.pop("model_type", None))
    vit, info = DINOv3ViTModel.from_pretrained(name_or_folder, dtype=torch.float32, output_loading_info=True)
    shared = {name: getattr(vit.config, name) for name in SHARED_FIELDS}
    shared["rope_parameters"] = {"rope_theta": vit.config.rope_theta, "rope_type": "default"}
    if family.config_class.fewest_blocks:
        shared["num_blocks"] = blocks_with_queries(vit.config.num_hidden_layers)
    model = family.model_class(family.config_class(**{**shared, **overrides}))
    loaded = {name: tensor for name, tensor in vit.state_dict().items() if name not in info["missing_keys"]}
    loaded.pop("embeddings.mask_token", None)  # of the pre-training alone
    converted = {_our_name(name): tensor for name, tensor in loaded.items()}
    fill_encoder(model, converted, sorted(info["unexpected_keys"]))
    return model


def _our_name(name: str) -> str:
    if name.startswith("model.layer."):
        return name.replace("model.layer.", "layers.", 1)
    return f"layer{name}" if name.startswith("norm.") else name
