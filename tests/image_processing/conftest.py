"""Outputs that a model might give, and transformers' processor beside ours."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import transformers

from eomt import EomtImageProcessor, EomtImageProcessorPil


@pytest.fixture(params=[EomtImageProcessor, EomtImageProcessorPil])
def processor_class(request) -> type:
    return request.param


@pytest.fixture
def outputs() -> Callable[..., SimpleNamespace]:
    """`outputs(masks, classes, offsets)`: logits as a model's outputs."""

    def build(masks: torch.Tensor, classes: torch.Tensor, offsets=None) -> SimpleNamespace:
        return SimpleNamespace(masks_queries_logits=masks, class_queries_logits=classes, patch_offsets=offsets)

    return build


@pytest.fixture
def random_outputs(outputs) -> Callable[..., SimpleNamespace]:
    """`random_outputs(seed)`: smooth overlapping blobs with class logits of some confidence."""

    def build(seed: int, images: int = 2, queries: int = 12, num_classes: int = 4, side: int = 16, confidence: float = 3.0):
        generator = torch.Generator().manual_seed(seed)
        masks = F.interpolate(torch.randn(images, queries, 4, 4, generator=generator) * 6, size=(side, side), mode="bicubic")
        return outputs(masks, torch.randn(images, queries, num_classes + 1, generator=generator) * confidence)

    return build


@pytest.fixture
def perfect_outputs(outputs) -> Callable[..., SimpleNamespace]:
    """`perfect_outputs(inputs)`: of a model that is right. Each target has its mask at full size; other queries say no-object."""

    def build(inputs, queries: int = 8, num_classes: int = 6) -> SimpleNamespace:
        masks, classes = [], []
        for mask_labels, class_labels in zip(inputs["mask_labels"], inputs["class_labels"], strict=True):
            logits = torch.full((queries, *mask_labels.shape[1:]), -30.0)
            logits[: len(mask_labels)] = mask_labels * 60 - 30
            labels = torch.full((queries,), num_classes)
            labels[: len(class_labels)] = class_labels
            masks.append(logits)
            classes.append(F.one_hot(labels, num_classes + 1) * 30.0)
        return outputs(torch.stack(masks), torch.stack(classes), inputs.get("patch_offsets"))

    return build


@pytest.fixture
def blocks() -> Callable[..., np.ndarray]:
    """`blocks(height, width)`: a label map of four by four blocks."""

    def build(height: int, width: int, num_classes: int = 6, seed: int = 0) -> np.ndarray:
        cells = np.random.default_rng(seed).integers(0, num_classes, (4, 4), dtype=np.uint8)
        return cells[np.arange(height) * 4 // height][:, np.arange(width) * 4 // width]

    return build


@pytest.fixture
def stock_and_ours() -> Callable[..., tuple[transformers.EomtImageProcessor, EomtImageProcessor]]:
    """`stock_and_ours(**settings)`: transformers' processor and ours, padded squares of 64 unless told otherwise."""

    def build(**settings):
        settings = {"size": {"shortest_edge": 64, "longest_edge": 64}, "do_pad": True, **settings}
        return transformers.EomtImageProcessor(**settings), EomtImageProcessor(**settings)

    return build
