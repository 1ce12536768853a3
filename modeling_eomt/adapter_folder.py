"""Folders of a PEFT adapter as this package's training writes them: an adapter with the configuration of the model that it makes.

PEFT leaves the configuration to the base, which then has the base's classes and masking probabilities. Such a folder has its own
`config.json`, and `attn_mask_probs` among its tensors, so that it loads by itself where its base can be had.
"""

import json
import os
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForUniversalSegmentation
from transformers.utils import ADAPTER_CONFIG_NAME, CONFIG_NAME, SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME, WEIGHTS_NAME

from eomt.configuration import EomtBaseConfig
from eomt.loading_arguments import changed_fields
from eomt.mask_classifier import MaskClassifier

INSTALL = "pip install 'eomt-transformers[lora]'"
WEIGHTS = (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME, WEIGHTS_NAME)


def is_adapter_folder(path: str | os.PathLike | None) -> bool:
    """Whether a path is a folder with an adapter and a configuration, and no weights of a whole model.

    An adapter without a configuration, as other programs write it, and one beside a whole model are transformers' affair.
    """
    if path is None or not os.path.isdir(path):
        return False
    folder = Path(path)
    has_both = (folder / ADAPTER_CONFIG_NAME).is_file() and (folder / CONFIG_NAME).is_file()
    return has_both and not any((folder / name).is_file() for name in WEIGHTS)


def load_adapter_folder(folder: str | os.PathLike, config: EomtBaseConfig) -> MaskClassifier:
    """The base with the adapter merged into its weights: a model like any other, in float32.

    Args:
        folder: see [`is_adapter_folder`].
        config: of the model that it makes, such as its `config.json`.

    Raises:
        ImportError: PEFT is missing.
        OSError: the base is not there.
        ValueError: the configuration needs weights of other shapes than the folder's own.
    """
    _check_shapes(config, type(config).from_pretrained(folder), str(folder))
    try:
        from peft import PeftModel
    except ImportError as error:
        raise ImportError(f"{folder} is a LoRA adapter, and PEFT is not installed: {INSTALL}") from error
    from eomt.weights.starts import from_start  # which imports the models, and so this module

    base = json.loads((Path(folder) / ADAPTER_CONFIG_NAME).read_text())["base_model_name_or_path"]
    try:
        model = from_start(base, config)
    except OSError as error:
        raise OSError(f"{folder} is an adapter of base_model_name_or_path={base!r}, which didn't load: {error}") from error
    model.train()  # PEFT's loading reads no masking probabilities; `eval` below does
    merged = PeftModel.from_pretrained(model, os.fspath(folder)).merge_and_unload()
    return merged.requires_grad_(True).to(torch.float32).eval()


def _check_shapes(config: EomtBaseConfig, stored: EomtBaseConfig, folder: str) -> None:
    """Refuses what neither base nor adapter has: PEFT names tensors, and the base's would start anew."""
    changed = [name for name in changed_fields(config, stored) if not isinstance(getattr(config, name), float)]
    changed = [name for name in changed if name not in ("id2label", "image_size")]  # positions are resized
    if changed and _shapes(config) != _shapes(stored):
        given, own = ({name: getattr(of, name) for name in changed} for of in (config, stored))
        raise ValueError(
            f"{_words(given)}: {folder!r} is an adapter, whose weights have the shapes of {_words(own)}; leave it out, or train "
            "an adapter that has it"
        )


def _shapes(config: EomtBaseConfig) -> dict[str, torch.Size]:
    with torch.device("meta"):
        tensors = AutoModelForUniversalSegmentation.from_config(config).state_dict()
    return {name: tensor.shape for name, tensor in tensors.items() if not name.startswith("embeddings.position_embeddings.")}


def _words(values: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in values.items())
