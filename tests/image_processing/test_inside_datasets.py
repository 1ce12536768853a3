"""The processor inside `datasets` and DataLoaders, the usual ways to feed a Trainer."""

import datasets
import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from eomt import EomtImageProcessor, EomtImageProcessorPil

BOTH = pytest.mark.parametrize("processor_class", [EomtImageProcessor, EomtImageProcessorPil])
MAPS = pytest.mark.parametrize("with_maps", [False, True])
SQUARE = {"shortest_edge": 64, "longest_edge": 64}


@pytest.fixture
def rows() -> datasets.Dataset:
    """Four images of one size, whose map has the classes 0 and 1."""
    generator = np.random.default_rng(0)
    classes = np.repeat(np.arange(2, dtype=np.uint8), 24)[:, None].repeat(64, 1)
    images = [generator.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(4)]
    return datasets.Dataset.from_list([{"image": Image.fromarray(one), "label": Image.fromarray(classes)} for one in images])


def process(processor, batch: dict, with_maps: bool, **call):
    return processor(batch["image"], batch["label"] if with_maps else None, **call)


@BOTH
@MAPS
def test_with_transform(processor_class, rows, with_maps):
    processor = processor_class(size=SQUARE)
    transformed = rows.with_transform(lambda batch: process(processor, batch, with_maps, return_tensors="pt"))
    whole = process(processor, rows[:], with_maps, return_tensors="pt")
    one = transformed[2]
    assert set(one) == {"pixel_values", "image_layouts"} | ({"mask_labels", "class_labels"} if with_maps else set())
    assert torch.equal(one["pixel_values"], whole["pixel_values"][2]) and one["image_layouts"].tolist() == [48, 64, 64, 64]
    batches = list(DataLoader(transformed, batch_size=2))
    assert [batch["pixel_values"].shape for batch in batches] == [(2, 3, 64, 64)] * 2
    assert batches[1]["image_layouts"].shape == (2, 4)
    if with_maps:
        assert one["class_labels"].tolist() == [0, 1] and batches[0]["mask_labels"].shape == (2, 2, 64, 64)


@BOTH
@MAPS
@pytest.mark.parametrize("kind", ["np", "pt", None])
def test_batched_map(processor_class, rows, with_maps, kind):
    processor = processor_class(size=SQUARE)
    mapped = rows.map(
        lambda batch: dict(process(processor, batch, with_maps, return_tensors=kind)),
        batched=True,
        remove_columns=rows.column_names,
    ).with_format("torch")
    want = process(processor, rows[:], with_maps, return_tensors="pt")
    assert all(torch.equal(mapped[:][name], want[name]) for name in ("pixel_values", "image_layouts"))
    if with_maps:
        assert torch.equal(mapped[3]["mask_labels"], want["mask_labels"][3])
