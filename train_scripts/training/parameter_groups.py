"""Which parameter learns at which rate: layer-wise decay over the encoder, as a pure function of names."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from torch import nn

from eomt.mask_classifier import MaskClassifier
from eomt.train_scripts.training.arguments import EomtTrainingArguments


@dataclass(frozen=True)
class GroupKey:
    """
    What parameters of a group have in common. Depth alone makes a group, so that a checkpoint's are those of any rates and decay.

    Args:
        above: encoder blocks between them and the encoder's output; None for what is not part of the pretrained encoder.
        peak: learning rate that they peak at.
    """

    above: int | None
    peak: float


def group_parameters(
    named_parameters: Iterable[tuple[str, nn.Parameter]],
    blocks_above: Callable[[str], int | None],
    encoder_rate: float,
    head_rate: float,
    decay: float,
    undecayed_blocks: int = 0,
) -> dict[GroupKey, list[nn.Parameter]]:
    """Trainable parameters by their depth, every one in exactly one group.

    Args:
        named_parameters: as `model.named_parameters()` gives them.
        blocks_above: the model's, see `eomt.mask_classifier.MaskClassifier`.
        encoder_rate: peak learning rate of the last block and the final norm.
        head_rate: peak learning rate of queries, mask module and class head.
        decay: factor between a block and the next (BEiT's layer-wise decay, paper section 4.1).
        undecayed_blocks: how many of the last blocks peak at `encoder_rate`; those before keep the factor of their depth.
    """
    groups: dict[GroupKey, list[nn.Parameter]] = {}
    for name, parameter in named_parameters:
        if not parameter.requires_grad or not parameter.numel():
            continue
        above = blocks_above(name)
        if above is None:
            key = GroupKey(None, head_rate)
        else:
            key = GroupKey(above, encoder_rate * (1.0 if above < undecayed_blocks else decay**above))
        groups.setdefault(key, []).append(parameter)
    return groups


def rate_groups(
    model: MaskClassifier, args: EomtTrainingArguments, named_parameters: Iterable[tuple[str, nn.Parameter]]
) -> dict[GroupKey, list[nn.Parameter]]:
    """The groups of a run.

    Args:
        model: that is trained.
        args: the run's options.
        named_parameters: the model's, as they are stored while it is trained.
    """
    head_rate = args.learning_rate if args.head_learning_rate is None else args.head_learning_rate
    undecayed = model.config.num_blocks if args.undecayed_blocks == -1 else args.undecayed_blocks or 0
    return group_parameters(named_parameters, model.blocks_above, args.learning_rate, head_rate, args.layer_decay, undecayed)


def optimizer_groups(groups: dict[GroupKey, list[nn.Parameter]]) -> list[dict]:
    """The groups as an optimizer takes them, each with `encoder`, whether the encoder's warm-up applies.

    The encoder's last block comes first, whose rate the Trainer logs, and new parameters last, whatever the rates.
    """
    ordered = sorted(groups.items(), key=lambda group: (group[0].above is None, group[0].above))
    return [{"params": params, "lr": key.peak, "encoder": key.above is not None} for key, params in ordered]
