"""Images to score: made here, with crowd and void, and real ones beside the checkout where there are any."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.formats import coco_panoptic
from eomt.train_scripts.data.formats.source import Options
from eomt.train_scripts.data.run_lengths import segments_to_rles
from eomt.train_scripts.data.samples import Sample, decode_row


@pytest.fixture(scope="session")
def detections() -> Callable[[list[Sample], int], list[dict]]:
    """`detections(samples, num_classes)`: the truth with errors as a model makes them, as `AveragePrecision` takes it."""

    def make(samples: list[Sample], num_classes: int, seed: int = 0) -> list[dict]:
        random = np.random.default_rng(seed)
        return [_detections(sample, num_classes, random, many=number % 12 == 3) for number, sample in enumerate(samples)]

    return make


def _detections(sample: Sample, num_classes: int, random: np.random.Generator, many: bool) -> dict:
    """Each segment up to three times: shifted, shrunk, merged with another or whole, sometimes of another class; invented boxes;
    `many` of a class, more than the 100 that count. Scores have one decimal, so that many are equal."""
    ids, labels = sample.id_map.numpy(), sample.class_labels.tolist()
    masks, classes = [], []
    for segment, label in zip(sample.segment_ids.tolist(), labels, strict=True):
        for _ in range(random.integers(0, 4)):
            mask, fate = ids == segment, random.integers(4)
            if fate == 0:
                mask = np.roll(mask, random.integers(-6, 7, 2), (0, 1))
            elif fate == 1:
                mask = ndimage.binary_erosion(mask, iterations=int(random.integers(1, 4)))
            elif fate == 2:
                mask = mask | (ids == random.choice(sample.segment_ids.numpy()))
            masks.append(mask)
            classes.append(label if random.random() < 0.8 else int(random.integers(num_classes)))
    for _ in range(130 if many else 2):
        mask = np.zeros(ids.shape, dtype=bool)
        top, left = random.integers(0, ids.shape[0] - 10), random.integers(0, ids.shape[1] - 10)
        mask[top : top + random.integers(5, 120), left : left + random.integers(5, 120)] = True
        masks.append(mask)
        classes.append(classes[0] if many and classes else int(random.integers(num_classes)))
    order = random.permutation(len(masks))
    return {
        "rles": [segments_to_rles(torch.from_numpy(masks[i].astype(np.uint8)), [1])[0] for i in order],
        "scores": torch.from_numpy(random.integers(1, 10, len(masks)) / 10),
        "labels": torch.tensor([classes[i] for i in order]),
    }


@pytest.fixture(scope="session")
def coco(shared_data) -> tuple[Labels, list[Sample]]:
    """The classes and samples of the shared 100 photos, less the pictures."""
    folder = shared_data("coco_panoptic100")
    source = coco_panoptic.read(folder / "train2017", folder / "panoptic_train2017.json", Options())
    samples = [decode_row(source.make_row(item), len(source.labels), "coco") for item in source.items]
    return source.labels, [replace(sample, image=sample.image[:, :0, :0]) for sample in samples]
