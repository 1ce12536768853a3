"""Converts checkpoints between the authors' format and transformers', which is this package's."""

import os
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from eomt import EomtForUniversalSegmentation
from eomt.exported import refuse_exported
from eomt.train_scripts.data.dataset_folder import Labels, read_labels
from eomt.train_scripts.evaluation.convert_options import FILES, ConvertOptions
from eomt.train_scripts.evaluation.loading import check_architecture, load_config, load_stored, stored_model
from eomt.train_scripts.evaluation.tasks import Task, task_of
from eomt.weights.dinov3_vit import from_dinov3_vit
from eomt.weights.files import read_tensors
from eomt.weights.official import from_official, is_official, to_official
from eomt.weights.timm import from_timm


def convert(options: ConvertOptions) -> EomtForUniversalSegmentation:
    """Reads one format and writes the other.

    Raises:
        ValueError: an option is wrong, or the tensors aren't those of an EoMT.
    """
    task = task_of(options.task)
    labels = None if options.data is None else task.labels(read_labels(options.data))
    return _to_folder(options, task, labels) if options.reads_file else _to_file(options)


def _to_folder(options: ConvertOptions, task: Task, labels: Labels | None) -> EomtForUniversalSegmentation:
    weights = read_tensors(options.checkpoint)
    if not is_official(set(weights)):
        raise ValueError(
            f"checkpoint={options.checkpoint!r} has no network.q.weight, but {sorted(weights)[:3]}: it is no EoMT of the authors. "
            "A ViT with timm's names starts a training by --timm_model"
        )
    base = None if options.base is None else _base(options.base)
    overrides = {} if options.image_size is None else {"image_size": options.image_size}
    if labels is not None:
        count = len(weights["network.class_head.bias"]) - 1
        if len(labels) != count:
            raise ValueError(f"data={options.data!r} has {len(labels)} classes for task={task.name!r}, the checkpoint {count}")
        overrides |= {"id2label": dict(enumerate(labels.names)), "label2id": {name: i for i, name in enumerate(labels.names)}}
    model = from_official(weights, base, **overrides)
    names = [model.config.id2label[index] for index in range(model.config.num_labels)]
    processor = task.processor(min(model.config.image_size_hw), labels or Labels(names, [True] * len(names)))
    model.save_pretrained(options.output)
    processor.save_pretrained(options.output)
    return model


def _to_file(options: ConvertOptions) -> EomtForUniversalSegmentation:
    checkpoint = stored_model(options.checkpoint)
    refuse_exported(checkpoint)
    check_architecture(load_config(checkpoint), checkpoint)
    model = load_stored(checkpoint)
    if options.image_size is not None:
        model.resize_position_embeddings(options.image_size)
    base = None if options.base is None else _base(options.base)
    _write(to_official(model, base), Path(options.output))
    return model


def _base(name: str) -> EomtForUniversalSegmentation:
    """A model with the encoder of this name: a folder or Hub name in transformers' format, else one of timm."""
    in_transformers = Path(name).is_dir() or Path(name).suffix not in FILES and "/" in name
    return from_dinov3_vit(name) if in_transformers else from_timm(name, argument="base")


def _write(weights: dict[str, Tensor], output: Path) -> None:
    """Whole or not at all: by a rename."""
    output.parent.mkdir(parents=True, exist_ok=True)
    part = output.with_name(f"{output.name}.partial")
    if output.suffix == ".safetensors":
        save_file(weights, part)
    else:
        torch.save({"state_dict": weights} if output.suffix == ".ckpt" else weights, part)
    os.replace(part, output)
