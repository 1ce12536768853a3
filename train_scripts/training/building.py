"""From arguments to the objects of a run: model, image processor and streams."""

from collections.abc import Collection
from dataclasses import fields
from typing import TYPE_CHECKING

import torch
from transformers import AutoConfig, AutoModelForUniversalSegmentation
from transformers.image_processing_base import ImageProcessingMixin

from eomt import EomtImageProcessor
from eomt.configuration import EomtBaseConfig, EomtConfig
from eomt.image_processing.augmentation import training_augmentation, without_augmentation
from eomt.image_processing.tiles import TiledProcessor
from eomt.mask_classifier import MaskClassifier
from eomt.train_scripts.data.dataset_folder import Labels, read_labels
from eomt.train_scripts.data.evaluation_stream import EvaluationStream, evaluation_stream
from eomt.train_scripts.data.paste_partners import CopyPaste
from eomt.train_scripts.data.training_stream import TrainingStream, training_stream
from eomt.train_scripts.evaluation.loading import check_architecture, named_in_errors
from eomt.train_scripts.evaluation.tasks import Task
from eomt.train_scripts.training.arguments import EomtTrainingArguments
from eomt.train_scripts.training.class_head import fit_class_head
from eomt.train_scripts.training.data_arguments import DataArguments
from eomt.train_scripts.training.lora import with_lora
from eomt.train_scripts.training.model_arguments import ModelArguments
from eomt.weights.starts import from_encoder
from eomt.weights.timm import from_timm, pixel_statistics

if TYPE_CHECKING:
    from peft import PeftModel  # an optional dependency


def build_model(model_args: ModelArguments, data_args: DataArguments, labels: Labels) -> "MaskClassifier | PeftModel":
    """A model for the dataset's classes, from a checkpoint, a ViT of timm or of transformers, or random weights.

    What of a checkpoint doesn't fit is new; its class head is kept if all classes have the same names, see [`fit_class_head`].
    With `lora` it comes in PEFT's wrapper, see [`with_lora`].

    Raises:
        ValueError: the start is no model that this package knows, or has no such fields in its configuration.
    """
    changes = {
        "image_size": data_args.image_size,
        "id2label": dict(enumerate(labels.names)),
        "label2id": {name: index for index, name in enumerate(labels.names)},
        **model_args.config_fields,
    }
    if model_args.checkpoint:
        model = load_checkpoint(model_args.checkpoint, changes, model_args.config_fields)
    elif model_args.timm_model:
        model = from_timm(model_args.timm_model, argument="timm_model", **changes)
    else:
        config = AutoConfig.for_model(**{"model_type": EomtConfig.model_type, **changes})
        model = AutoModelForUniversalSegmentation.from_config(config)
    check_fields(model_args.config_fields, type(model.config))
    model.freeze_encoder(model_args.frozen_blocks)
    return with_lora(model, model_args) if model_args.lora else model


def check_fields(names: Collection[str], config_class: type[EomtBaseConfig]) -> None:
    """Raises ValueError for a name that is no field of a configuration, which would keep it without effect."""
    if unknown := sorted(set(names) - {"model_type", *(field.name for field in fields(config_class))}):
        raise ValueError(f"config: {config_class.__name__}, of this start, has no field {unknown[0]}; leave it out")


def load_checkpoint(name: str, changes: dict, asked: Collection[str]) -> MaskClassifier:
    """A checkpoint with fields of its configuration replaced, in float32 whatever it is stored in.

    Args:
        name: a folder or a Hub name, of an EoMT or of an encoder in transformers' `dinov3_vit`, `dinov2`
            or `dinov2_with_registers` format.
        changes: fields of the configuration.
        asked: names of those that the user gave.

    Raises:
        OSError: naming the checkpoint, if it is no folder and the Hub doesn't give it.
        ValueError: it is of another architecture, or its configuration has no such field.
    """
    with named_in_errors(name):
        stored = AutoConfig.from_pretrained(name)
        if (model := from_encoder(name, stored, **changes)) is not None:
            return model
        check_architecture(stored, name)
        check_fields(asked, type(stored))
        # half precision is autocast's: weights of it would round small updates away
        model = AutoModelForUniversalSegmentation.from_pretrained(
            name, dtype=torch.float32, ignore_mismatched_sizes=True, **changes
        )
    fit_class_head(model, [stored.id2label[index] for index in range(stored.num_labels)])
    return model


def build_processor(model_args: ModelArguments, data_args: DataArguments, task: Task, labels: Labels) -> EomtImageProcessor:
    """The task's image processor, with the pixel statistics that the start was trained with."""
    processor = task.processor(data_args.image_size, labels)
    processor.image_mean, processor.image_std = _pixel_statistics(model_args)
    return processor


def _pixel_statistics(model_args: ModelArguments) -> tuple[list[float], list[float]]:
    """Mean and deviation of the RGB channels: of a checkpoint those of its image processor, if it has one."""
    if model_args.timm_model:
        return pixel_statistics(model_args.timm_model, argument="timm_model")
    if model_args.checkpoint:
        try:
            stored, _ = ImageProcessingMixin.get_image_processor_dict(model_args.checkpoint)
            return stored["image_mean"], stored["image_std"]
        except (OSError, KeyError):  # there is none
            with named_in_errors(model_args.checkpoint):
                config = AutoConfig.from_pretrained(model_args.checkpoint)
    else:
        config = AutoConfig.for_model(model_args.config_fields.get("model_type", EomtConfig.model_type))
    known = config if isinstance(config, EomtBaseConfig) else EomtBaseConfig
    return list(known.image_mean), list(known.image_std)


def build_streams(
    data_args: DataArguments, args: EomtTrainingArguments, processor: EomtImageProcessor, task: Task
) -> tuple[TrainingStream, EvaluationStream | None]:
    """This process's share of the augmented training samples, and of the evaluation samples, as `task` wants them."""
    share = {
        "world_size": args.world_size,
        "rank": args.process_index,
        "transform": task.sample,
        "bad_samples": data_args.bad_samples,
    }
    augmentation = without_augmentation(data_args.image_size)
    if data_args.augment:
        jitter = data_args.min_scale, data_args.max_scale, data_args.color_jitter, data_args.rotate90
        augmentation = training_augmentation(data_args.image_size, *jitter)
    copy_paste = None
    if data_args.copy_paste:
        copy_paste = CopyPaste(data_args.copy_paste, task.labels(read_labels(data_args.data)).isthing)
    train = training_stream(
        data_args.data,
        data_args.train_split,
        augmentation,
        args.seed,
        shuffle_buffer=data_args.shuffle_buffer,
        copy_paste=copy_paste,
        **share,
    )
    if not data_args.eval_split:
        return train, None
    return train, evaluation_stream(data_args.data, data_args.eval_split, evaluation_views(processor, data_args), **share)


def evaluation_views(processor: EomtImageProcessor, data_args: DataArguments) -> EomtImageProcessor | TiledProcessor:
    """What shows the model the evaluation images: in tiles as well, if asked for."""
    return processor if data_args.tiles is None else TiledProcessor(processor, data_args.tiles)
