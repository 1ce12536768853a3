"""Checkpoints of the authors' repository (tue-mps/eomt) in its own format, from and to this package's models.

Their network holds the encoder under `encoder.backbone`, and queries and heads beside it under other names. Tensors are the same
but for joint ones, see `official_vit`. A DINOv3 may also be stored as differences to the released encoder, which its licence keeps
out of the file: encoder tensors minus the base's, masking probabilities minus 1, pixel statistics 0, queries and heads as they are.

Shapes: `D` width, `C` classes.
"""

import math
import re

import torch
from torch import Tensor

from eomt.configuration import EomtBaseConfig, EomtDinov3Config
from eomt.modeling_eomt import EomtForUniversalSegmentation
from eomt.modeling_eomt_dinov3 import EomtDinov3ForUniversalSegmentation
from eomt.weights.filling import check_fit, fill
from eomt.weights.official_dinov3 import dinov3_fields, official_names, our_names
from eomt.weights.official_vit import timm_tensors
from eomt.weights.timm_vit import convert_vit, vit_config

NETWORK = "network."
BACKBONE = "encoder.backbone."
CRITERION = "criterion."  # buffers, which follow from the configuration
STATISTICS = {"encoder.pixel_mean": EomtBaseConfig.image_mean, "encoder.pixel_std": EomtBaseConfig.image_std}
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


def is_official(names: set[str]) -> bool:
    """Whether the names of a checkpoint's tensors are those of the authors' repository."""
    return f"{NETWORK}q.weight" in names


def from_official(
    weights: dict[str, Tensor], base: EomtForUniversalSegmentation | None = None, **overrides
) -> EomtForUniversalSegmentation:
    """The model of an official checkpoint.

    Args:
        weights: names and tensors, see [`eomt.weights.files.read_tensors`].
        base: of a file of differences, a model with the encoder that they were taken to, such as [`from_timm`] or
            [`from_dinov3_vit`] give.
        overrides: fields of the configuration, such as `id2label`; another `image_size` resizes the positions.

    Raises:
        ValueError: naming what is missing, unknown or of another shape; or differences come without a base, or a base without them.
    """
    network = {
        name.replace("._orig_mod", "").removeprefix(NETWORK): tensor.float()
        for name, tensor in weights.items()
        if not name.startswith(CRITERION)
    }
    backbone = {name.removeprefix(BACKBONE): tensor for name, tensor in network.items() if name.startswith(BACKBONE)}
    beside = {name: tensor for name, tensor in network.items() if not name.startswith(BACKBONE)}
    is_dinov3 = "patch_embed.patch_embeddings.weight" in backbone
    are_differences = _take_statistics(beside)
    if are_differences and (base is None or not is_dinov3):
        raise ValueError("weights are differences to a released DINOv3: give that encoder as base")
    if base is not None and not are_differences:
        raise ValueError("base has no meaning: weights are no differences, but whole; leave it out")
    heads, unknown = _renamed_heads(beside)
    if absent := [name for name in ("query.weight", "class_predictor.weight", MASKING) if name not in heads]:
        raise ValueError(f"weights lack {', '.join(absent)}, and are no official checkpoint; found {sorted(beside)[:5]}")
    heads[MASKING] = heads[MASKING] + int(are_differences)
    fields = {
        "num_queries": len(heads["query.weight"]),
        "num_labels": len(heads["class_predictor.weight"]) - 1,  # the last is no object
        "num_blocks": len(heads[MASKING]),
        "num_upscale_blocks": len({name.split(".")[2] for name in heads if name.startswith("upscale_block.")}),
    }
    if is_dinov3:
        encoder = _whole(our_names(backbone), base) if are_differences else our_names(backbone)
        model = EomtDinov3ForUniversalSegmentation(EomtDinov3Config(**{**dinov3_fields(encoder), **fields, **overrides}))
        image_size, not_converted = None, []
    else:
        image_size = overrides.pop("image_size", None)
        fields["image_size"] = _stored_size(backbone)
        model = EomtForUniversalSegmentation(vit_config(backbone, **{**fields, **overrides}))
        encoder, not_converted = convert_vit(backbone, model)
    _fill(model, encoder | heads, [f"{NETWORK}{BACKBONE}{name}" for name in not_converted] + unknown)
    if image_size is not None:
        model.resize_position_embeddings(image_size)
    return model.eval()


@torch.no_grad()
def to_official(model: EomtForUniversalSegmentation, base: EomtForUniversalSegmentation | None = None) -> dict[str, Tensor]:
    """The tensors of a model by the official names, so that the authors' code loads them.

    Args:
        model: on DINOv2 or its like, or on DINOv3.
        base: of a DINOv3, a model with the released encoder, to store the differences to it.

    Raises:
        ValueError: the authors' code has no such encoder, or `base` is of another.
    """
    state = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith(CRITERION)}
    encoder = {name: tensor for name, tensor in state.items() if model.blocks_above(name) is not None}
    is_dinov3 = isinstance(model.config, EomtDinov3Config)
    if model.config.model_type not in ("eomt", EomtDinov3Config.model_type):
        raise ValueError(f"model_type={model.config.model_type!r}: the authors' format has DINOv2 and DINOv3 alone")
    if base is not None:
        if not is_dinov3:
            raise ValueError(f"base has no meaning for model_type={model.config.model_type!r}; leave it out")
        subtracted = _encoder_of(base)
        check_fit(encoder, subtracted, [], "the encoder; give the released encoder that the training started from as base")
        encoder = {name: tensor - subtracted[name] for name, tensor in encoder.items()}
    backbone = official_names(encoder) if is_dinov3 else timm_tensors(encoder)
    network = {name: torch.tensor(values).view(1, 3, 1, 1) * int(base is None) for name, values in STATISTICS.items()}
    network |= {f"{BACKBONE}{name}": tensor for name, tensor in backbone.items()}
    network |= {_official_head(name): tensor for name, tensor in state.items() if model.blocks_above(name) is None}
    network[MASKING] = network[MASKING] - int(base is not None)
    official = {f"{NETWORK}{name}": tensor.clone() for name, tensor in network.items()}
    return official | {f"{CRITERION}empty_weight": model.criterion.class_weights().clone()}


def _encoder_of(model: EomtForUniversalSegmentation) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in model.state_dict().items() if model.blocks_above(name) is not None}


def _whole(differences: dict[str, Tensor], base: EomtForUniversalSegmentation) -> dict[str, Tensor]:
    """An encoder of its differences to a base.

    Raises:
        ValueError: the base is of another size.
    """
    encoder = _encoder_of(base)
    check_fit(encoder, differences, [], "base; give the released DINOv3 of that size")
    return {name: encoder[name] + tensor for name, tensor in differences.items()}


def _take_statistics(beside: dict[str, Tensor]) -> bool:
    """Takes the pixel statistics out of `beside`; whether they are those of a file of differences.

    Raises:
        ValueError: they are neither ImageNet's nor 0.
    """
    stored = {name: beside.pop(name).flatten() for name in STATISTICS if name in beside}
    if stored and all(not values.any() for values in stored.values()):
        return True
    for name, values in stored.items():
        if not torch.allclose(values, torch.tensor(STATISTICS[name]), atol=1e-3):
            raise ValueError(
                f"{NETWORK}{name} is {values.tolist()}, not ImageNet's {list(STATISTICS[name])}: the pixels are others"
            )
    return False


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


def _fill(model: EomtForUniversalSegmentation, converted: dict[str, Tensor], unknown: list[str]) -> None:
    """
    Raises:
        ValueError: naming what is missing, unknown or of another shape.
    """
    tensors = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith(CRITERION)}
    check_fit(tensors, converted, unknown, "an EoMT; give a whole checkpoint of the authors")
    probabilities = converted.pop(MASKING)
    fill(tensors, converted)
    model.set_attn_mask_probs(probabilities.tolist())


def _stored_size(backbone: dict[str, Tensor]) -> int:
    """Pixels: the side of the position grid times the side of a patch."""
    if "pos_embed" not in backbone or "patch_embed.proj.weight" not in backbone:
        raise ValueError(f"weights lack the backbone's positions or patches; found {sorted(backbone)[:5]}")
    count = backbone["pos_embed"].shape[1]
    side = math.isqrt(count)
    if side * side != count:
        raise ValueError(f"pos_embed holds {count} positions, which are no square grid of patches")
    return side * backbone["patch_embed.proj.weight"].shape[-1]


def _official_head(name: str) -> str:
    """Our name of a tensor beside the backbone -> theirs."""
    parts = name.split(".")
    match parts[0]:
        case "query":
            return "q.weight"
        case "class_predictor":
            return f"class_head.{parts[1]}"
        case "mask_head":
            return f"mask_head.{2 * int(parts[1][2]) - 2}.{parts[2]}"  # fc1, fc2, fc3 -> 0, 2, 4: activations lie between
        case "upscale_block":
            return f"upscale.{parts[2]}.{'norm' if parts[3] == 'layernorm2d' else parts[3]}.{parts[4]}"
    return name
