"""From arguments to the objects of a run: model, image processor and streams."""

import torch

from eomt import EomtConfig, EomtForUniversalSegmentation, EomtImageProcessor
from eomt.image_processing.augmentation import training_augmentation
from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.evaluation_stream import EvaluationStream, evaluation_stream
from eomt.train_scripts.data.training_stream import TrainingStream, training_stream
from eomt.train_scripts.evaluation.tasks import Task
from eomt.train_scripts.training.arguments import DataArguments, EomtTrainingArguments, ModelArguments
from eomt.train_scripts.training.class_head import fit_class_head
from eomt.weights.timm import from_timm


def build_model(model_args: ModelArguments, data_args: DataArguments, labels: Labels) -> EomtForUniversalSegmentation:
    """A model for the dataset's classes, from a checkpoint, a timm ViT or random weights.

    What of a checkpoint doesn't fit is new; its class head is kept if all classes have the same names, see [`fit_class_head`].
    """
    fields = {
        "image_size": data_args.image_size,
        "id2label": dict(enumerate(labels.names)),
        "label2id": {name: index for index, name in enumerate(labels.names)},
        **model_args.config_fields,
    }
    if model_args.checkpoint:
        model = load_checkpoint(model_args.checkpoint, fields)
    elif model_args.timm_model:
        model = from_timm(model_args.timm_model, **fields)
    else:
        model = EomtForUniversalSegmentation(EomtConfig(**fields))
    model.freeze_encoder(model_args.frozen_blocks)
    return model


def load_checkpoint(name: str, fields: dict) -> EomtForUniversalSegmentation:
    """An EoMT checkpoint with `fields` of its configuration replaced, in float32 whatever it is stored in.

    Raises:
        OSError: naming the checkpoint, if it is no folder and the Hub doesn't give it.
    """
    try:
        stored = EomtConfig.from_pretrained(name)
        # half precision is autocast's: weights of it would round small updates away
        model = EomtForUniversalSegmentation.from_pretrained(name, dtype=torch.float32, ignore_mismatched_sizes=True, **fields)
    except OSError as error:
        raise OSError(f"checkpoint={name!r} is no folder with a model and didn't load from the Hub: {error}") from error
    fit_class_head(model, [stored.id2label[index] for index in range(stored.num_labels)])
    return model


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
    augmentation = training_augmentation(data_args.image_size, data_args.min_scale, data_args.max_scale, data_args.color_jitter)
    train = training_stream(
        data_args.data, data_args.train_split, augmentation, args.seed, shuffle_buffer=data_args.shuffle_buffer, **share
    )
    if not data_args.eval_split:
        return train, None
    return train, evaluation_stream(data_args.data, data_args.eval_split, processor, **share)
