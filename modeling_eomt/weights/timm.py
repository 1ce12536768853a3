"""Starts a model from a plain timm ViT (DINOv2 and its like), whatever its patch size and position grid.

Shapes: `D` width, `F` width of the feed-forward, `h, w` patches.
"""

import difflib
import math
import os
import re

import timm
import torch
from safetensors.torch import load_file
from timm.layers import resample_patch_embed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from eomt.configuration import EomtConfig
from eomt.encoders.parts import resample_positions
from eomt.modeling_eomt import EomtForUniversalSegmentation

CLASSIFIER_PREFIXES = ("head.", "fc_norm.")
BLOCK_NAMES = {  # timm's names inside a block and ours, where one tensor becomes one tensor
    "norm1": "norm1",
    "norm2": "norm2",
    "attn.proj": "attention.out_proj",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}


def from_timm(name_or_file: str | os.PathLike, *, pretrained: bool = True, **overrides) -> EomtForUniversalSegmentation:
    """A model whose encoder is a timm ViT and whose queries and heads are new.

    Args:
        name_or_file: a timm model name (`vit_small_patch14_reg4_dinov2.lvd142m`), or a `.safetensors` file with timm's names.
        pretrained: for a name, whether to load its weights; without them the encoder is random.
        overrides: any field of [`EomtConfig`], `num_labels` or `id2label` among them; see [`encoder_config`] for the rest.

    Raises:
        FileNotFoundError: for a file that is not there.
        ConnectionError: for weights that can't be downloaded.
        ValueError: for a name that timm doesn't know, or a model that is no plain ViT with a class token.
    """
    name_or_file = os.fspath(name_or_file)
    if name_or_file.endswith(".safetensors"):
        if not os.path.isfile(name_or_file):
            raise FileNotFoundError(f"name_or_file={name_or_file!r}: there is no such file")
        weights = load_file(name_or_file)
    else:
        vit = _create_vit(name_or_file, pretrained)
        if not isinstance(vit, VisionTransformer):
            raise ValueError(f"name_or_file={name_or_file!r} is a {type(vit).__name__} of timm; give a plain VisionTransformer")
        weights = vit.state_dict()
        first = vit.blocks[0]
        overrides = {"num_attention_heads": first.attn.num_heads, "layer_norm_eps": first.norm1.eps, **overrides}
    model = EomtForUniversalSegmentation(encoder_config(weights, **overrides))
    load_timm_encoder(model, weights)
    return model


def _create_vit(name: str, pretrained: bool) -> torch.nn.Module:
    try:
        return timm.create_model(name, pretrained=pretrained, num_classes=0)
    except RuntimeError as error:
        if "Unknown model" not in str(error):
            raise
        near = difflib.get_close_matches(name, timm.list_models("vit_*"), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "timm.list_models() has them all."
        raise ValueError(f"name_or_file={name!r} is no model of timm, nor a .safetensors file; {hint}") from None
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise ConnectionError(
            f"name_or_file={name!r}: timm's weights of it are not in the cache and couldn't be downloaded ({reason}) Connect "
            "to the network, unset HF_HUB_OFFLINE, or give a .safetensors file with timm's names"
        ) from None


def encoder_config(weights: dict[str, Tensor], **overrides) -> EomtConfig:
    """The configuration that fits a timm ViT's weights.

    Width, depth, channels, registers and the kind of feed-forward follow from the shapes. Heads are 64 wide, the patch size is
    16, and `num_blocks` is the paper's (section 4.1: 3 up to 12 encoder blocks, 4 up to 24, 5 beyond) unless given.

    Args:
        weights: timm's names and tensors.
        overrides: any field of [`EomtConfig`].

    Raises:
        ValueError: for weights that are no plain ViT's.
    """
    _require(weights, "cls_token", "patch_embed.proj.weight", "blocks.0.mlp.fc1.weight", "blocks.0.mlp.fc2.weight")
    hidden_size, num_channels = weights["patch_embed.proj.weight"].shape[:2]
    depth = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("blocks."))
    use_swiglu_ffn, mlp_ratio = _feed_forward(weights, hidden_size)
    derived = dict(
        hidden_size=hidden_size,
        num_hidden_layers=depth,
        num_attention_heads=max(1, hidden_size // 64),
        patch_size=16,
        num_channels=num_channels,
        mlp_ratio=mlp_ratio,
        use_swiglu_ffn=use_swiglu_ffn,
        num_register_tokens=_num_registers(weights),
        num_blocks=min(depth, 3 if depth <= 12 else 4 if depth <= 24 else 5),
    )
    return EomtConfig(**{**derived, **overrides})


@torch.no_grad()
def load_timm_encoder(model: EomtForUniversalSegmentation, weights: dict[str, Tensor]) -> None:
    """Fills the encoder of a model from timm's weights; queries and heads stay as they are.

    Patch embeddings of another patch size are resampled as in FlexiViT (the pseudo-inverse of the resizing), position
    embeddings of another grid bicubically. A classifier (`head`, `fc_norm`) is left out.

    Args:
        model: of the weights' width, depth and kind, see [`encoder_config`].
        weights: timm's names and tensors, of any float type.

    Raises:
        ValueError: naming the weights that are missing, unknown or of another shape; the model is then unchanged.
    """
    encoder = {name: tensor for name, tensor in model.state_dict().items() if model.blocks_above(name) is not None}
    converted, unknown = _convert(weights, model)
    missing = sorted(encoder.keys() - converted.keys())
    unknown += sorted(converted.keys() - encoder.keys())
    shapes = {
        name: (tuple(converted[name].shape), tuple(encoder[name].shape))
        for name in sorted(encoder.keys() & converted.keys())
        if converted[name].shape != encoder[name].shape
    }
    if missing or unknown or shapes:
        problems = [f"none for {', '.join(missing)}"] if missing else []
        problems += [f"no place for {', '.join(unknown)}"] if unknown else []
        problems += [f"{name} is {got}, the model's {wanted}" for name, (got, wanted) in shapes.items()]
        raise ValueError(
            f"weights don't fit the encoder: {'; '.join(problems)}; build the model from encoder_config(weights) of a plain ViT"
        )
    for name, tensor in converted.items():
        encoder[name].copy_(tensor)


def _convert(weights: dict[str, Tensor], model: EomtForUniversalSegmentation) -> tuple[dict[str, Tensor], list[str]]:
    """Our names and float32 tensors, and the names of timm's that have no counterpart."""
    _require(weights, "cls_token", "pos_embed", "patch_embed.proj.weight")
    converted = _convert_embeddings(weights, model.embeddings.patch_embeddings.patch_size, model.embeddings.grid_size)
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


def _convert_embeddings(weights: dict[str, Tensor], patch_size: tuple[int, int], grid: tuple[int, int]) -> dict[str, Tensor]:
    """Class token, registers, patch projection and patch positions for this patch size and grid, float32."""
    cls_token = weights["cls_token"].float()
    num_registers = _num_registers(weights)
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


def _num_registers(weights: dict[str, Tensor]) -> int:
    return weights["reg_token"].shape[1] if "reg_token" in weights else 0


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


def _require(weights: dict[str, Tensor], *names: str) -> None:
    absent = [name for name in names if name not in weights]
    if absent:
        raise ValueError(f"weights has no {', '.join(absent)}; expected the state dict of a plain timm ViT with a class token")
