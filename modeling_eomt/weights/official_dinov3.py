"""The authors' names of a DINOv3's tensors, which are transformers' of its ViT but for prefixes, and its configuration.

Shapes: `D` width.
"""

import re

from torch import Tensor

from eomt.configuration import EomtDinov3Config
from eomt.weights.timm_dinov3 import LAYER_NORM_EPS, WIDTH_7B

# theirs -> ours, of the start of a name
PREFIXES = {"patch_embed.": "embeddings.", "blocks.": "layers.", "norm.": "layernorm."}


def our_names(backbone: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a backbone by our names; those of an unknown prefix keep theirs."""
    return {_replaced(name, PREFIXES): tensor for name, tensor in backbone.items()}


def official_names(encoder: dict[str, Tensor]) -> dict[str, Tensor]:
    """The way back."""
    backwards = {ours: theirs for theirs, ours in PREFIXES.items()}
    return {_replaced(name, backwards): tensor for name, tensor in encoder.items()}


def dinov3_fields(encoder: dict[str, Tensor]) -> dict:
    """Fields of [`EomtDinov3Config`] that the tensors of an encoder, by our names, say. The image size is in none of them."""
    patches, block = encoder["embeddings.patch_embeddings.weight"], "layers.0."  # (D, channels, side, side)
    width, gated = patches.shape[0], f"{block}mlp.gate_proj.weight" in encoder
    return dict(
        hidden_size=width,
        num_hidden_layers=1 + max(int(match[1]) for name in encoder if (match := re.match(r"layers\.(\d+)\.", name))),
        num_attention_heads=max(1, width // (128 if width == WIDTH_7B else 64)),
        num_channels=patches.shape[1],
        patch_size=patches.shape[-1],
        num_register_tokens=encoder["embeddings.register_tokens"].shape[1],
        intermediate_size=encoder[f"{block}mlp.down_proj.weight"].shape[1],
        use_gated_mlp=gated,
        hidden_act="silu" if gated else EomtDinov3Config.hidden_act,
        layer_norm_eps=LAYER_NORM_EPS,
        mlp_bias=f"{block}mlp.down_proj.bias" in encoder,
        **{
            f"{field}_bias": f"{block}attention.{part}_proj.bias" in encoder
            for field, part in {"query": "q", "key": "k", "value": "v", "proj": "o"}.items()
        },
    )


def _replaced(name: str, prefixes: dict[str, str]) -> str:
    prefix = next((prefix for prefix in prefixes if name.startswith(prefix)), "")
    return prefixes.get(prefix, "") + name[len(prefix) :]
