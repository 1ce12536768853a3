"""LoRA: low-rank adapters of the encoder's linear layers are trained in its place (Hu et al., "LoRA", 2021), by PEFT."""

import os
import re
from typing import TYPE_CHECKING

from torch import nn

from eomt.adapter_folder import INSTALL
from eomt.mask_classifier import MaskClassifier
from eomt.train_scripts.training.model_arguments import ModelArguments

if TYPE_CHECKING:
    from peft import PeftModel  # an optional dependency


def with_lora(model: MaskClassifier, model_args: ModelArguments) -> "PeftModel":
    """A model with adapters in its blocks, but for frozen ones. What is no part of the pretrained encoder is trained whole.

    Args:
        model: of the run, its first blocks frozen as asked for.
        model_args: the run's options.

    Raises:
        ImportError: PEFT is missing.
        ValueError: every block is frozen.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise ImportError(f"lora=True needs PEFT, which is not installed: {INSTALL}") from error
    rank = model_args.lora_rank
    config = LoraConfig(
        r=rank,
        lora_alpha=2 * rank if model_args.lora_alpha is None else model_args.lora_alpha,
        target_modules=target_pattern(model, model_args),
        modules_to_save=new_modules(model),
    )
    adapted = get_peft_model(model, config)
    start = model_args.checkpoint or model_args.timm_model
    config.base_model_name_or_path = os.path.abspath(start) if os.path.exists(start) else start
    return adapted


def target_pattern(model: MaskClassifier, model_args: ModelArguments) -> str:
    """A regular expression for the names of the linear layers that have adapters: those of blocks that aren't frozen."""
    inside = re.compile(rf"layers\.(\d+)\.((?:{'|'.join(model_args.lora_targets)})\..+)")
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Linear) and module.weight.requires_grad]
    matches = [match for name in names if (match := inside.fullmatch(name))]
    if not matches:
        raise ValueError(f"lora=True with frozen_blocks={model_args.frozen_blocks}: no block is left for adapters; freeze fewer")
    blocks, layers = (dict.fromkeys(match[group] for match in matches) for group in (1, 2))
    return rf"layers\.({'|'.join(blocks)})\.({'|'.join(map(re.escape, layers))})"


def new_modules(model: MaskClassifier) -> list[str]:
    """Names of the modules that are no part of the pretrained encoder, such as queries and class head."""
    outside = (name for name, _ in model.named_parameters() if model.blocks_above(name) is None)
    return list(dict.fromkeys(name.split(".")[0] for name in outside))
