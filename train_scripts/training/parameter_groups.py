"""Which parameter learns at which rate: layer-wise decay over the encoder, as a pure function of names."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

from eomt.weights.timm import ENCODER_PREFIXES


def is_encoder(name: str) -> bool:
    """Whether a parameter belongs to the ViT, and so to what pretraining fills."""
    return name.startswith(ENCODER_PREFIXES)


def layer_decay_factor(name: str, num_layers: int, decay: float) -> float:
    """Share of the learning rate that a parameter gets (BEiT's layer-wise decay, paper section 4.1).

    Args:
        name: of the parameter in `EomtForUniversalSegmentation`.
        num_layers: `L`.
        decay: factor between a block and the next; the last block, the final norm and everything new get 1, the first
            block and the embeddings `decay ** (L - 1)`.
    """
    if name.startswith("embeddings."):
        return decay ** (num_layers - 1)
    block = re.match(r"layers\.(\d+)\.", name)
    return decay ** (num_layers - 1 - int(block.group(1))) if block else 1.0


@dataclass(frozen=True)
class GroupKey:
    """What parameters of a group have in common: the rate they peak at, and whether the encoder's warm-up applies."""

    peak: float
    encoder: bool


def group_parameters(
    named_parameters: Iterable[tuple[str, nn.Parameter]],
    num_layers: int,
    encoder_rate: float,
    head_rate: float,
    decay: float,
) -> dict[GroupKey, list[nn.Parameter]]:
    """Trainable parameters by their learning rate, every one in exactly one group.

    Args:
        named_parameters: as `model.named_parameters()` gives them.
        num_layers: `L`.
        encoder_rate: peak learning rate of the last block.
        head_rate: peak learning rate of queries, mask module and class head.
        decay: see [`layer_decay_factor`].
    """
    groups: dict[GroupKey, list[nn.Parameter]] = {}
    for name, parameter in named_parameters:
        if not parameter.requires_grad or not parameter.numel():
            continue
        rate = encoder_rate if is_encoder(name) else head_rate
        key = GroupKey(rate * layer_decay_factor(name, num_layers, decay), is_encoder(name))
        groups.setdefault(key, []).append(parameter)
    return groups


def optimizer_groups(groups: dict[GroupKey, list[nn.Parameter]]) -> list[dict]:
    """The groups as an optimizer takes them, each with `encoder`, whether the encoder's warm-up applies.

    The encoder's last block comes first, whose rate the Trainer logs, and new parameters last.
    """
    ordered = sorted(groups.items(), key=lambda group: (not group[0].encoder, -group[0].peak))
    return [{"params": params, "lr": key.peak, "encoder": key.encoder} for key, params in ordered]
