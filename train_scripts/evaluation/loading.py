"""Checkpoints to score or to predict with, of this package or of transformers: model, classes and image processor."""

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from accelerate import PartialState
from transformers import AutoConfig, AutoModelForUniversalSegmentation, PreTrainedConfig, PreTrainedModel
from transformers.utils import CONFIG_NAME

from eomt import EomtImageProcessor
from eomt.configuration import EomtBaseConfig
from eomt.exported import ExportedMaskClassifier, is_exported
from eomt.mask_classifier import MaskClassifier
from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.evaluation.checkpoints import FINISHED, last_whole
from eomt.train_scripts.evaluation.precision import chosen_dtype
from eomt.train_scripts.evaluation.tasks import Task

logger = logging.getLogger(__name__)


def stored_model(checkpoint: str | Path) -> str:
    """What a model is loaded from: of an interrupted run's folder the last whole checkpoint, else `checkpoint` itself.

    Raises:
        ValueError: the folder holds neither a model nor a whole checkpoint.
    """
    folder = Path(checkpoint)
    if not folder.is_dir() or (folder / FINISHED).is_file():
        return str(checkpoint)
    last = last_whole(folder)
    if last is None:
        if not (folder / CONFIG_NAME).is_file():
            raise ValueError(
                f"checkpoint={str(checkpoint)!r} holds no model: it is of a run that has not stored a whole checkpoint, or of "
                "none. Go on with the run by its training command, or give a folder with a model"
            )
        return str(checkpoint)
    if PartialState().is_main_process:
        logger.warning("%s is of a run that has not ended: its last whole checkpoint, %s, is taken", checkpoint, last.name)
    return str(last)


def load_config(checkpoint: str) -> PreTrainedConfig:
    """The configuration of a checkpoint, of whatever architecture.

    Raises:
        OSError: there is no such checkpoint.
    """
    with named_in_errors(checkpoint):
        return AutoConfig.from_pretrained(checkpoint)


def load_model(
    checkpoint: str, masked: bool | None = None, attn_implementation: str = "sdpa", trust_remote_code: bool = False
) -> MaskClassifier | ExportedMaskClassifier:
    """A complete checkpoint, in float32, or an exported model. If it is masked, a line on the screen says so, and why.

    Args:
        checkpoint: a folder or a Hub name.
        masked: whether attention is masked in every block that may be, whatever the checkpoint says; by default as
            [`stays_masked`] has it. A graph is as it was exported.
        attn_implementation: transformers' name of an attention implementation.
        trust_remote_code: whether an exported `.pt2` may be loaded, which can run any code.

    Raises:
        ImportError: the runtime of an exported model is not installed.
        OSError: there is no such checkpoint.
        ValueError: it is of another architecture, or weights are missing in it, or a graph can't do what is asked for.
    """
    check_architecture(load_config(checkpoint), checkpoint)
    if is_exported(checkpoint):
        return load_exported(checkpoint, masked, attn_implementation, trust_remote_code)
    model = load_stored(checkpoint)
    model.set_attn_implementation(attn_implementation)
    mask = stays_masked(model) if masked is None else masked
    model.set_attn_mask_probs([float(mask)] * len(model.attn_mask_probs))
    if mask and PartialState().is_main_process:
        reason = "as it was trained to the end (--masked false: without)" if masked is None else "as asked for"
        logger.warning("%s: with masked attention, %s", checkpoint, reason)
    return model


def load_stored(checkpoint: str) -> MaskClassifier:
    """A complete checkpoint, in float32, with the masking probabilities that it stores.

    Raises:
        OSError: there is no such checkpoint.
        ValueError: weights are missing in it.
    """
    with named_in_errors(checkpoint):
        model, loaded = AutoModelForUniversalSegmentation.from_pretrained(checkpoint, dtype=torch.float32, output_loading_info=True)
    check_complete(model, loaded["missing_keys"], checkpoint)
    return model


def load_exported(
    checkpoint: str, masked: bool | None, attn_implementation: str, trust_remote_code: bool
) -> ExportedMaskClassifier:
    """An exported model; the arguments are those of [`load_model`].

    Raises:
        ImportError: its runtime is not installed.
        ValueError: an argument asks for what the graph doesn't have, or a `.pt2` is not trusted.
    """
    if attn_implementation != "sdpa":
        raise ValueError(f"attn_implementation={attn_implementation!r}: {checkpoint!r} is an export, a fixed graph; leave it out")
    model = ExportedMaskClassifier.from_pretrained(checkpoint, trust_remote_code)
    exported_masked = bool(model.attn_mask_probs.all())
    if masked is not None and masked != exported_masked:
        raise ValueError(
            f"masked={masked}: {checkpoint!r} was exported {'with' if exported_masked else 'without'} masked attention, which its "
            f"graph can't change; leave it out, or export the model again with --masked {str(masked).lower()}"
        )
    return model


def pass_dtype(checkpoint: str, device: torch.device, bf16: bool | None) -> torch.dtype:
    """The format of autocast in which a checkpoint is run. A graph runs in what it was exported in, without autocast.

    Raises:
        ValueError: bfloat16 is asked for, and the checkpoint is an export.
    """
    if not is_exported(checkpoint):
        return chosen_dtype(device, bf16)
    if bf16:
        raise ValueError(f"bf16=True: {checkpoint!r} is an export, which runs in the numbers of its graph; leave it out")
    return torch.float32


def check_complete(model: PreTrainedModel, missing_keys: Collection[str], checkpoint: str) -> None:
    """Raises ValueError where a checkpoint lacks parameters. Buffers that are only for training may be missing."""
    if missing := sorted(set(missing_keys) & {name for name, _ in model.named_parameters()}):
        raise ValueError(f"checkpoint={checkpoint!r} lacks the weights {missing[:5]}; give a complete checkpoint")


def stays_masked(model: MaskClassifier) -> bool:
    """Whether a model is used with masked attention unless asked otherwise: it was trained so to the end, and its format says so.

    EoMT's format doesn't: transformers' files lack the probabilities, or hold those that a training began with.
    """
    return model.config.stores_masking and bool((model.attn_mask_probs == 1).all())


@contextmanager
def named_in_errors(checkpoint: str) -> Iterator[None]:
    """Names the checkpoint in the error of one that is no folder and that the Hub doesn't give, an OSError."""
    try:
        yield
    except OSError as error:
        raise OSError(f"checkpoint={checkpoint!r} is no folder with a model and didn't load from the Hub: {error}") from error


def check_architecture(config: PreTrainedConfig, checkpoint: str) -> None:
    """Raises ValueError unless a checkpoint's configuration is of one of this package's models."""
    if not isinstance(config, EomtBaseConfig):
        raise ValueError(f"checkpoint={checkpoint!r} is a {config.model_type} model; give an EoMT checkpoint")


def class_names(model: PreTrainedModel | ExportedMaskClassifier) -> list[str]:
    """The names of a model's classes, by index."""
    return [model.config.id2label[index] for index in range(model.config.num_labels)]


def check_classes(model_names: Sequence[str], data_names: Sequence[str], checkpoint: str) -> None:
    """Raises ValueError, which says how they differ, unless the checkpoint's class names are the dataset's, in their order."""
    if list(model_names) == list(data_names):
        return
    lacks, more = sorted(set(data_names) - set(model_names)), sorted(set(model_names) - set(data_names))
    shorter = min(len(model_names), len(data_names))
    first = next((index for index in range(shorter) if model_names[index] != data_names[index]), shorter)
    differ = f"it lacks {lacks[:10]} and has {more[:10]} besides" if lacks or more else "their order differs"
    raise ValueError(
        f"checkpoint={checkpoint!r} has {len(model_names)} classes, the data {len(data_names)} for this task: {differ}, from index "
        f"{first} on. Score it on data with the classes it was trained on (of instance segmentation the things alone)."
    )


def load_processor(checkpoint: str, task: Task, image_size: int, labels: Labels) -> EomtImageProcessor:
    """The checkpoint's image processor, or the task's where the checkpoint has none.

    Args:
        checkpoint: a folder or a Hub name, whose model has been loaded.
        task: what is predicted.
        image_size: side of the model's square input, pixels.
        labels: the model's classes.

    Raises:
        ValueError: the checkpoint's cuts windows, across which the task's instances can't be told apart, or all of its classes are
            stuff, which has none.
    """
    try:
        processor = EomtImageProcessor.from_pretrained(checkpoint)
    except OSError:  # there is none: the model has been loaded, so the checkpoint is there
        processor, config = task.processor(image_size, labels), AutoConfig.from_pretrained(checkpoint)
        processor.image_mean, processor.image_std = list(config.image_mean), list(config.image_std)
        return processor
    if processor.stuff_classes is None:  # transformers' own has no such field; without it, stuff of several queries isn't merged
        processor.stuff_classes = [index for index, isthing in enumerate(labels.isthing) if not isthing]
    if processor.do_split_image and not task.splits_images:
        raise ValueError(
            f"checkpoint={checkpoint!r} cuts images into windows (do_split_image), across which segments can't be told apart; "
            f"task={task.name!r} needs a padded image processor: set do_split_image to false in its preprocessor_config.json"
        )
    if task.needs_things and set(range(len(labels))) <= set(processor.stuff_classes):
        raise ValueError(
            f"checkpoint={checkpoint!r} has no things, and task={task.name!r} segments nothing else; choose another task, or set "
            "stuff_classes in its preprocessor_config.json to the classes that are stuff"
        )
    return processor
