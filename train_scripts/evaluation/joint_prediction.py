"""Several tasks on one frozen encoder, predicted together: each image is read, resized and encoded once."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from eomt.image_processing.defaults import THRESHOLD
from eomt.image_processing.image_processing_eomt import EomtImageProcessor
from eomt.mask_classifier import MaskClassifier
from eomt.modeling_eomt import EomtForUniversalSegmentation
from eomt.shared_encoder import SharedEncoder
from eomt.train_scripts.data.evaluation_stream import collate_evaluation
from eomt.train_scripts.data.image_sources import NamedImage
from eomt.train_scripts.data.samples import Sample
from eomt.train_scripts.evaluation.inference import WINDOWS_A_PASS, PredictionStream, ResultMaker, images_of, join_outputs
from eomt.train_scripts.evaluation.inference_options import SCORE_TOLERANCE

FITTING = ("do_resize", "size", "resample", "do_split_image", "do_pad")  # of an image into the model's input
OF_LABELS = {"stuff_classes", "ignore_index", "do_reduce_labels"}  # they change no pixel


@dataclass
class TaskModel:
    """
    A model of one task, on the encoder that several share.

    Args:
        model, processor: as loaded. The processor post-processes; one of them all makes the inputs.
        task: makes results.
    """

    model: MaskClassifier
    processor: EomtImageProcessor
    task: ResultMaker


def share_encoder(models: Mapping[str, TaskModel]) -> SharedEncoder:
    """The encoder of several models.

    Raises:
        ValueError: a model is no EoMT, or they differ in their encoders.
    """
    for name, one in models.items():
        if not isinstance(one.model, EomtForUniversalSegmentation):
            raise ValueError(f"model {name!r} is a {one.model.config.model_type}; models that share an encoder must be EoMT's")
    return SharedEncoder({name: one.model for name, one in models.items()})


def share_processing(models: Mapping[str, TaskModel]) -> None:
    """Makes all processors give the same inputs: where one pads images and another cuts windows, all pad.

    Segments of instances can't be told apart across windows, but a map of classes can be read off a padded image, whose short side
    is then smaller than in windows.

    Raises:
        ValueError: the processors differ in something else.
    """
    padding = next((one.processor for one in models.values() if not one.processor.do_split_image), None)
    for one in models.values():
        if one.processor.do_split_image and padding is not None:
            one.processor = copy.deepcopy(one.processor)
            for name in FITTING:
                setattr(one.processor, name, getattr(padding, name))
    (first, pixels), *others = ((name, _pixel_settings(one.processor)) for name, one in models.items())
    for name, other in others:
        if different := sorted(key for key in pixels if pixels[key] != other.get(key)):
            raise ValueError(
                f"models {first!r} and {name!r} want images of another {different[0]} ({pixels[different[0]]}, "
                f"{other.get(different[0])}), so that they can't share their features; predict with each by itself"
            )


def _pixel_settings(processor: EomtImageProcessor) -> dict[str, Any]:
    return {name: value for name, value in processor.to_dict().items() if name not in OF_LABELS}


@torch.no_grad()
def joint_predictions(
    models: Mapping[str, TaskModel],
    stream: PredictionStream,
    batch_size: int,
    threshold: float = THRESHOLD,
    autocast: Callable[[], AbstractContextManager] = nullcontext,
    show_progress: bool = True,
    tolerance: float = SCORE_TOLERANCE,
) -> Iterator[tuple[Sample | NamedImage, dict[str, Any]]]:
    """Each image with the results of all models, as [`predictions`] gives those of one.

    Args:
        models: by name, after [`share_processing`]; in evaluation mode.
        stream: of images, with the processor of any of them.
        batch_size, threshold, autocast, show_progress, tolerance: as in [`predictions`].

    Yields:
        The stream's sample, and {name: result}.
    """
    encoder = share_encoder(models)
    device = next(encoder.parameters()).device
    loader = DataLoader(stream, batch_size=batch_size, collate_fn=collate_evaluation)
    with tqdm(total=stream.share, desc="predicting", unit="image", disable=not show_progress) as bar:
        for batch in loader:
            with autocast():
                parts = [encoder(part.to(device)) for part in batch["pixel_values"].split(WINDOWS_A_PASS * batch_size)]
            outputs = {name: join_outputs([part[name] for part in parts]) for name in models}
            by_image: Sequence = zip(*(images_of(outputs[name], batch) for name in models), strict=True)
            for sample, of_models in zip(batch["samples"], by_image, strict=True):
                size = tuple(sample.image.shape[1:])
                yield (
                    sample,
                    {
                        name: one.task.result(one.processor, output, size, threshold, tolerance)
                        for (name, one), output in zip(models.items(), of_models, strict=True)
                    },
                )
                bar.total = stream.share
                bar.update()
