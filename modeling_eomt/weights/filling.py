"""Fills tensors of a model with converted weights, all of them or none."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from eomt.mask_classifier import MaskClassifier

ENCODER_REMEDY = "build the model from encoder_config(weights) of a ViT it knows"


def fill_encoder(model: MaskClassifier, converted: dict[str, Tensor], unknown: list[str]) -> None:
    """Copies weights into the encoder; queries and heads stay as they are.

    Args:
        model: to fill.
        converted: {name in the model: values}.
        unknown: names of the source that have no counterpart.

    Raises:
        ValueError: naming the weights that are missing, unknown or of another shape; the model is then unchanged.
    """
    if isinstance(model.layernorm, nn.Identity):  # ViT-Adapter reads what the blocks give
        converted = {name: tensor for name, tensor in converted.items() if not name.startswith("layernorm.")}
    encoder = {name: tensor for name, tensor in model.state_dict().items() if model.blocks_above(name) is not None}
    check_fit(encoder, converted, unknown, f"the encoder; {ENCODER_REMEDY}")
    fill(encoder, converted)


def check_fit(tensors: Mapping[str, Tensor], converted: dict[str, Tensor], unknown: list[str], of: str) -> None:
    """
    Args:
        tensors: to be filled, by the model's names.
        converted, unknown: as in [`fill_encoder`].
        of: what they make up, and what to do.

    Raises:
        ValueError: naming the weights that are missing, unknown or of another shape.
    """
    missing = sorted(tensors.keys() - converted.keys())
    unknown = unknown + sorted(converted.keys() - tensors.keys())
    shapes = {
        name: (tuple(converted[name].shape), tuple(tensors[name].shape))
        for name in sorted(tensors.keys() & converted.keys())
        if converted[name].shape != tensors[name].shape
    }
    if missing or unknown or shapes:
        problems = [f"none for {', '.join(missing)}"] if missing else []
        problems += [f"no place for {', '.join(unknown)}"] if unknown else []
        problems += [f"{name} is {got}, the model's {wanted}" for name, (got, wanted) in shapes.items()]
        what, _, remedy = of.partition("; ")
        raise ValueError(f"weights don't fit {what}: {'; '.join([*problems, remedy] if remedy else problems)}")


@torch.no_grad()
def fill(tensors: Mapping[str, Tensor], converted: dict[str, Tensor]) -> None:
    """Copies weights that fit, see [`check_fit`]."""
    for name, tensor in converted.items():
        tensors[name].copy_(tensor)
