"""Milliseconds an image of what a user waits for: preprocessing, forward pass and post-processing, of one image at a time.

Shapes: H, W pixels of an image.
"""

import itertools
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TypeVar

import torch
from torch import Tensor

from eomt.train_scripts.data.evaluation_stream import evaluation_stream
from eomt.train_scripts.data.window_limit import check_windows
from eomt.train_scripts.evaluation.segmenter import Segmenter

WARM_UP = 3  # images that are not counted: first calls allocate memory and choose kernels
Value = TypeVar("Value")


@dataclass(frozen=True)
class Latency:
    """Medians over images, in milliseconds. The median of the whole is not the sum of the steps' medians."""

    preprocessing_ms: float
    forward_ms: float
    post_processing_ms: float
    total_ms: float
    images: int  # that were timed

    @classmethod
    def of(cls, seconds: Sequence[Sequence[float]]) -> "Latency":
        """Of the seconds of the three steps, for each image."""
        columns = [*zip(*seconds, strict=True), [sum(steps) for steps in seconds]]
        return cls(*(1000 * statistics.median(column) for column in columns), images=len(seconds))

    def as_dict(self) -> dict[str, float]:
        return {**asdict(self), "images_per_second": 1000 / self.total_ms}


@torch.no_grad()
def measure_latency(segmenters: Mapping[str, Segmenter], images: Sequence[Tensor]) -> dict[str, Latency]:
    """The latency of each segmenter. Each image goes through all of them in turn, so that what slows the machine slows all.

    Args:
        segmenters: by name.
        images: (3, H, W) uint8 each, at least one. The first ones are repeated to warm up.

    Raises:
        ValueError: there is no image, or one needs too many windows.
    """
    if not len(images):
        raise ValueError("images is empty, so that nothing can be timed; give at least one image")
    seconds = {name: [] for name in segmenters}
    warm_up = images[:WARM_UP]
    for number, image in enumerate([*warm_up, *images]):
        for name, segmenter in segmenters.items():
            steps = _seconds(segmenter, image)
            if number >= len(warm_up):
                seconds[name].append(steps)
    return {name: Latency.of(of_images) for name, of_images in seconds.items()}


def _seconds(segmenter: Segmenter, image: Tensor) -> tuple[float, float, float]:
    device = segmenter.model.device
    check_windows(segmenter.processor, tuple(image.shape[1:]), "an image whose steps are timed")
    inputs, preprocessing = _timed(lambda: segmenter.processor(images=[image], return_tensors="pt"), device)
    outputs, forward = _timed(lambda: segmenter.forward(inputs), device)
    _, post_processing = _timed(lambda: segmenter.post_process(outputs, tuple(image.shape[1:])), device)
    return preprocessing, forward, post_processing


def _timed(call: Callable[[], Value], device: torch.device) -> tuple[Value, float]:
    """What a call gives, and its seconds until the device has done all."""
    start = time.perf_counter()
    value = call()
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
    return value, time.perf_counter() - start


def first_images(folder: str, split: str, count: int) -> list[Tensor]:
    """The first images of a split, (3, H, W) uint8 each. Rows that can't be used are left out."""
    stream = evaluation_stream(folder, split, lambda **_: {}, bad_samples="skip")
    return [example["sample"].image for example in itertools.islice(stream, count)]
