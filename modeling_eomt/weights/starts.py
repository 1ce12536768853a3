"""What a model is built on: a ViT of timm, an encoder in transformers' format, or a checkpoint of EoMT."""

import os
from dataclasses import fields
from typing import Any

import timm
import torch
from transformers import (
    AutoConfig,
    AutoModelForUniversalSegmentation,
    Dinov2Config,
    Dinov2WithRegistersConfig,
    DINOv3ViTConfig,
    PreTrainedConfig,
)

from eomt.configuration import EomtBaseConfig
from eomt.mask_classifier import MaskClassifier
from eomt.weights.dinov2_vit import from_dinov2_vit
from eomt.weights.dinov3_vit import from_dinov3_vit
from eomt.weights.files import SUFFIXES
from eomt.weights.timm import from_timm

ENCODERS = {  # configuration of an encoder in transformers' format -> what builds a model on it
    DINOv3ViTConfig: from_dinov3_vit,
    Dinov2Config: from_dinov2_vit,
    Dinov2WithRegistersConfig: from_dinov2_vit,
}


def is_encoder(name: str) -> bool:
    """Whether a checkpoint is of an encoder alone, of one of [`ENCODERS`], rather than of a model with queries.

    Raises:
        OSError: it is no folder and the Hub doesn't give it.
    """
    return type(AutoConfig.from_pretrained(name)) in ENCODERS


def from_encoder(name: str, stored: PreTrainedConfig, **overrides: Any) -> MaskClassifier | None:
    """A model on an encoder in transformers' format; None where the checkpoint is of no such encoder.

    Args:
        name: a folder or a Hub name.
        stored: its configuration.
        overrides: fields of the model's configuration, and `model_type`.

    Raises:
        ValueError: the encoder can't start a model of that type, or its weights don't fit.
    """
    build = ENCODERS.get(type(stored))
    return build and build(name, **overrides)


def from_start(name: str, config: EomtBaseConfig) -> MaskClassifier:
    """The model of a configuration with the weights of a start; those that the start lacks are random. In float32.

    Args:
        name: of timm, of a file with timm's names, or of a folder or the Hub.
        config: of the model, complete.

    Raises:
        OSError, ValueError: there is no such start, or it doesn't fit the configuration.
    """
    names = {field.name for field in fields(config)} - {field.name for field in fields(PreTrainedConfig)} | {"id2label", "label2id"}
    overrides = {name: getattr(config, name) for name in names}
    if name.endswith(SUFFIXES) or not os.path.isdir(name) and timm.is_model(name.split(".")[0]):
        return from_timm(name, model_type=config.model_type, **overrides)
    if (model := from_encoder(name, AutoConfig.from_pretrained(name), model_type=config.model_type, **overrides)) is not None:
        return model
    return AutoModelForUniversalSegmentation.from_pretrained(name, config=config, dtype=torch.float32, ignore_mismatched_sizes=True)
