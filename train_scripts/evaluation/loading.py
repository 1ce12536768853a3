"""Checkpoints of this package or of transformers, with the image processor that belongs to them."""

from collections.abc import Sequence

import torch

from eomt import EomtForUniversalSegmentation, EomtImageProcessor
from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.evaluation.tasks import Task


def load_model(checkpoint: str, labels: Labels) -> EomtForUniversalSegmentation:
    """A whole checkpoint with the dataset's classes, unmasked; as [`load_any_model`], and ValueError if its classes are others."""
    model = load_any_model(checkpoint)
    check_classes([model.config.id2label[index] for index in range(model.config.num_labels)], labels.names, checkpoint)
    return model


def load_any_model(checkpoint: str) -> EomtForUniversalSegmentation:
    """A whole checkpoint, unmasked.

    Raises:
        OSError: there is no such checkpoint.
        ValueError: weights are missing in it.
    """
    try:
        model, loaded = EomtForUniversalSegmentation.from_pretrained(checkpoint, dtype=torch.float32, output_loading_info=True)
    except OSError as error:
        raise OSError(f"checkpoint={checkpoint!r} is no folder with a model and didn't load from the Hub: {error}") from error
    # transformers' own checkpoints lack buffers that are only for training
    if missing := sorted(set(loaded["missing_keys"]) & {name for name, _ in model.named_parameters()}):
        raise ValueError(f"checkpoint={checkpoint!r} lacks the weights {missing[:5]}; give a complete EoMT checkpoint")
    model.set_attn_mask_probs([0.0] * model.config.num_blocks)
    return model


def check_classes(model_names: Sequence[str], names: Sequence[str], checkpoint: str) -> None:
    """Raises ValueError, saying which differ, unless the checkpoint's class names are the dataset's, in their order."""
    if list(model_names) == list(names):
        return
    lacks, more = sorted(set(names) - set(model_names)), sorted(set(model_names) - set(names))
    pairs = enumerate(zip(model_names, names, strict=False))
    first = next((index for index, (ours, theirs) in pairs if ours != theirs), min(len(model_names), len(names)))
    differ = f"it lacks {lacks[:10]} and has {more[:10]} besides" if lacks or more else "their order differs"
    raise ValueError(
        f"checkpoint={checkpoint!r} has {len(model_names)} classes, the data {len(names)} for this task: {differ}, from index "
        f"{first} on. "
        "Score it on data with the classes it was trained on (of instance segmentation the things alone)."
    )


def load_processor(checkpoint: str, task: Task, image_size: int, labels: Labels) -> EomtImageProcessor:
    """The checkpoint's image processor, or the task's.

    Raises:
        ValueError: the checkpoint's cuts windows, across which the task's instances can't be told apart.
    """
    try:
        processor = EomtImageProcessor.from_pretrained(checkpoint)
    except OSError:  # there is none: the model has been loaded, so the checkpoint is there
        return task.processor(image_size, labels)
    if processor.stuff_classes is None:  # transformers' own has no such field; without it, stuff of several queries isn't merged
        processor.stuff_classes = [index for index, isthing in enumerate(labels.isthing) if not isthing]
    if processor.do_split_image and not task.splits_images:
        raise ValueError(
            f"checkpoint={checkpoint!r} cuts images into windows (do_split_image), across which segments can't be told apart; "
            f"task={task.name!r} needs a padded image processor: set do_split_image to false in its preprocessor_config.json"
        )
    return processor
