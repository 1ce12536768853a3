"""Checkpoints of the authors' repository (tue-mps/eomt) in its own format, from and to this package's model.

Their network holds a timm ViT under `encoder.backbone`, with positions of patches alone, and queries and heads beside it under
other names. Tensors are the same but for the joint projection of queries, keys and values, and giant's packed SwiGLU.

Shapes: `D` width, `F` width of the feed-forward, `C` classes.
"""

import math
import os
import pickle
import re
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from eomt.modeling_eomt import EomtForUniversalSegmentation
from eomt.weights.timm import BLOCK_NAMES, encoder_config, load_timm_encoder

NETWORK = "network."
BACKBONE = "encoder.backbone."
CRITERION = "criterion."  # buffers, which follow from the configuration
STATISTICS = {"encoder.pixel_mean": IMAGENET_DEFAULT_MEAN, "encoder.pixel_std": IMAGENET_DEFAULT_STD}
MASKING = "attn_mask_probs"
# theirs -> ours, of what lies beside the backbone
HEADS = (
    (r"q\.weight", "query.weight"),
    (r"class_head\.(weight|bias)", r"class_predictor.\1"),
    (r"mask_head\.0\.(weight|bias)", r"mask_head.fc1.\1"),
    (r"mask_head\.2\.(weight|bias)", r"mask_head.fc2.\1"),
    (r"mask_head\.4\.(weight|bias)", r"mask_head.fc3.\1"),
    (r"upscale\.(\d+)\.conv(1|2)\.(weight|bias)", r"upscale_block.block.\1.conv\2.\3"),
    (r"upscale\.(\d+)\.norm\.(weight|bias)", r"upscale_block.block.\1.layernorm2d.\2"),
)


def read_tensors(path: str | os.PathLike) -> dict[str, Tensor]:
    """The tensors of a `.safetensors` file, or of a file of `torch.save`, of a Lightning checkpoint those of its `state_dict`.

    Nothing but tensors is read, so that a file can run no code.

    Raises:
        ValueError: the file is missing or broken, or holds other objects.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"checkpoint={str(path)!r}: no such file")
    try:
        stored = load_file(path) if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"checkpoint={str(path)!r} holds more than tensors, or is no checkpoint ({str(error).splitlines()[0]}). If you trust "
            "it, save its tensors alone: torch.save(torch.load(FILE, weights_only=False)['state_dict'], NEW_FILE)"
        ) from error
    except Exception as error:  # each reader has errors of its own
        raise ValueError(f"checkpoint={str(path)!r} can't be read ({error}); download or copy it again") from error
    stored = stored.get("state_dict", stored) if isinstance(stored, dict) else stored
    if not isinstance(stored, dict) or not all(isinstance(value, Tensor) for value in stored.values()):
        raise ValueError(f"checkpoint={str(path)!r} is no state dict, nor a Lightning checkpoint; give one of these")
    return stored


def is_official(names: set[str]) -> bool:
    """Whether the names of a checkpoint's tensors are those of the authors' repository."""
    return f"{NETWORK}q.weight" in names


def from_official(weights: dict[str, Tensor], **overrides) -> EomtForUniversalSegmentation:
    """The model of an official checkpoint.

    Args:
        weights: names and tensors, see [`read_tensors`].
        overrides: fields of [`EomtConfig`], such as `id2label`; another `image_size` resizes the positions.

    Raises:
        ValueError: naming what is missing, unknown or of another shape.
    """
    network = {
        name.replace("._orig_mod", "").removeprefix(NETWORK): tensor.float()
        for name, tensor in weights.items()
        if not name.startswith(CRITERION)
    }
    backbone = {name.removeprefix(BACKBONE): tensor for name, tensor in network.items() if name.startswith(BACKBONE)}
    beside = {name: tensor for name, tensor in network.items() if not name.startswith(BACKBONE)}
    _check_statistics(beside)
    heads, unknown = _renamed_heads(beside)
    if absent := [name for name in ("query.weight", "class_predictor.weight", MASKING) if name not in heads]:
        raise ValueError(f"weights lack {', '.join(absent)}, and are no official checkpoint; found {sorted(beside)[:5]}")
    image_size = overrides.pop("image_size", None)
    config = encoder_config(
        backbone,
        **{
            "image_size": _stored_size(backbone),
            "num_queries": len(heads["query.weight"]),
            "num_labels": len(heads["class_predictor.weight"]) - 1,  # the last is no object
            "num_blocks": len(heads[MASKING]),
            "num_upscale_blocks": len({name.split(".")[2] for name in heads if name.startswith("upscale_block.")}),
            **overrides,
        },
    )
    model = EomtForUniversalSegmentation(config)
    load_timm_encoder(model, backbone)
    _load_heads(model, heads, unknown)
    if image_size is not None:
        model.resize_position_embeddings(image_size)
    return model.eval()


@torch.no_grad()
def to_official(model: EomtForUniversalSegmentation) -> dict[str, Tensor]:
    """The tensors of a model by the official names, so that the authors' code loads them."""
    network = {name: torch.tensor(values).view(1, 3, 1, 1) for name, values in STATISTICS.items()}
    parts: dict[str, dict[str, Tensor]] = {}  # of tensors that the official format joins: joint name -> part -> tensor
    for name, tensor in model.state_dict().items():
        if name.startswith(CRITERION) or not tensor.numel():  # a ViT without registers has an empty tensor of them here
            continue
        if official := _official_head(name):
            network[official] = tensor
        elif joint := _joint_name(name):
            parts.setdefault(f"{BACKBONE}{joint[0]}", {})[joint[1]] = tensor
        else:
            network[f"{BACKBONE}{_backbone_name(name)}"] = tensor[None] if "position_embeddings" in name else tensor
    network |= {name: torch.cat([tensors[part] for part in sorted(tensors)]) for name, tensors in parts.items()}
    official = {f"{NETWORK}{name}": tensor.clone() for name, tensor in network.items()}
    return official | {f"{CRITERION}empty_weight": model.criterion.class_weights().clone()}


def _check_statistics(beside: dict[str, Tensor]) -> None:
    """Takes the pixel statistics out of `beside`.

    Raises:
        ValueError: they aren't ImageNet's, which the image processor uses.
    """
    for name, values in STATISTICS.items():
        stored = beside.pop(name, None)
        if stored is not None and not torch.allclose(stored.flatten(), torch.tensor(values), atol=1e-3):
            raise ValueError(
                f"{NETWORK}{name} is {stored.flatten().tolist()}, not ImageNet's {list(values)}: the file holds differences to "
                "another checkpoint, or a model of other pixels"
            )


def _renamed_heads(beside: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Queries, heads and masking probabilities by our names, and the names that have no counterpart."""
    heads, unknown = {}, []
    for name, tensor in beside.items():
        ours = next((re.sub(theirs, ours, name) for theirs, ours in HEADS if re.fullmatch(theirs, name)), None)
        if name == MASKING or ours:
            heads[ours or name] = tensor
        else:
            unknown.append(f"{NETWORK}{name}")
    return heads, unknown


@torch.no_grad()
def _load_heads(model: EomtForUniversalSegmentation, heads: dict[str, Tensor], unknown: list[str]) -> None:
    """
    Raises:
        ValueError: naming what is missing, unknown or of another shape; the heads are then unchanged.
    """
    state = model.state_dict()
    wanted = {name for name in state if model.blocks_above(name) is None and not name.startswith(CRITERION)}
    shapes = {
        name: f"{name} is {tuple(tensor.shape)}, the model's {tuple(state[name].shape)}"
        for name, tensor in heads.items()
        if name in wanted and tensor.shape != state[name].shape
    }
    missing = sorted(wanted - heads.keys())
    unknown = unknown + sorted(heads.keys() - wanted)
    if missing or unknown or shapes:
        problems = [f"none for {', '.join(missing)}"] if missing else []
        problems += [f"no place for {', '.join(unknown)}"] if unknown else []
        raise ValueError(f"weights don't fit the heads: {'; '.join([*problems, *shapes.values()])}")
    for name in wanted - {MASKING}:
        state[name].copy_(heads[name])
    model.set_attn_mask_probs(heads[MASKING].tolist())


def _stored_size(backbone: dict[str, Tensor]) -> int:
    """Pixels: the side of the position grid times the side of a patch."""
    if "pos_embed" not in backbone or "patch_embed.proj.weight" not in backbone:
        raise ValueError(f"weights lack the backbone's positions or patches; found {sorted(backbone)[:5]}")
    count = backbone["pos_embed"].shape[1]
    side = math.isqrt(count)
    if side * side != count:
        raise ValueError(f"pos_embed holds {count} positions, which are no square grid of patches")
    return side * backbone["patch_embed.proj.weight"].shape[-1]


def _official_head(name: str) -> str | None:
    """Our name of a tensor beside the backbone -> theirs; None for one of the backbone."""
    parts = name.split(".")
    match parts[0]:
        case "attn_mask_probs":
            return name
        case "query":
            return "q.weight"
        case "class_predictor":
            return f"class_head.{parts[1]}"
        case "mask_head":
            return f"mask_head.{2 * int(parts[1][2]) - 2}.{parts[2]}"  # fc1, fc2, fc3 -> 0, 2, 4: activations lie between
        case "upscale_block":
            return f"upscale.{parts[2]}.{parts[3].removesuffix('2d').replace('layernorm', 'norm')}.{parts[4]}"
    return None


def _joint_name(name: str) -> tuple[str, int] | None:
    """The joint tensor of timm that ours is a part of, and which; None for one that stays alone."""
    if match := re.fullmatch(r"layers\.(\d+)\.attention\.([qkv])_proj\.(\w+)", name):
        return f"blocks.{match[1]}.attn.qkv.{match[3]}", "qkv".index(match[2])
    if match := re.fullmatch(r"layers\.(\d+)\.mlp\.(gate|up)_proj\.(\w+)", name):
        return f"blocks.{match[1]}.mlp.fc1.{match[3]}", ("gate", "up").index(match[2])
    return None


def _backbone_name(name: str) -> str:
    """Our name of a tensor of the encoder -> timm's."""
    embeddings = {
        "embeddings.cls_token": "cls_token",
        "embeddings.register_tokens": "reg_token",
        "embeddings.patch_embeddings.projection.weight": "patch_embed.proj.weight",
        "embeddings.patch_embeddings.projection.bias": "patch_embed.proj.bias",
        "embeddings.position_embeddings.weight": "pos_embed",
        "layernorm.weight": "norm.weight",
        "layernorm.bias": "norm.bias",
    }
    if name in embeddings:
        return embeddings[name]
    block, module, kind = re.fullmatch(r"layers\.(\d+)\.(.+)\.(\w+)", name).groups()
    theirs = {ours: timm for timm, ours in BLOCK_NAMES.items()} | {"mlp.down_proj": "mlp.fc2"}
    if module.startswith("layer_scale"):
        return f"blocks.{block}.ls{module[-1]}.gamma"
    return f"blocks.{block}.{theirs[module]}.{kind}"
