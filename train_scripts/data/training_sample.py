"""The augmentation of one sample for training.

Shapes: S pixels of a crop's side, n segments of an image, P planes of an id map.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torchvision import tv_tensors

from eomt.randomness import key_of
from eomt.train_scripts.data.samples import Sample, present_segments

ATTEMPTS = 10  # at a crop that shows a segment


def augment(sample: Sample, augmentation: Callable, key: int) -> dict:
    """Augments a sample and leaves out its crowds, which are no targets in training.

    A crop that shows no segment is drawn again, up to `ATTEMPTS` times. After the last attempt, or if the image has nothing but
    crowds, the crop is taken without segments.

    Args:
        sample: a decoded row.
        augmentation: (`tv_tensors.Image`, `tv_tensors.Mask`) -> the same, drawing from torch's global generator. The generator's
            state is restored afterwards.
        key: fixes what the augmentation draws.

    Returns:
        `image_id`; `image` (3, S, S) uint8; `id_map` (S, S) or (P, S, S) int32; `segment_ids` and `class_labels` (n,) of the
        segments that the crop shows.
    """
    ids, labels = sample.segment_ids[~sample.is_crowd], sample.class_labels[~sample.is_crowd]
    for attempt in range(ATTEMPTS if len(ids) else 1):
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(key_of(key, attempt))
            image, id_map = augmentation(tv_tensors.Image(sample.image), tv_tensors.Mask(sample.id_map))
        image, id_map = image.as_subclass(Tensor), id_map.as_subclass(Tensor)
        present = present_segments(id_map, ids)
        if present.any():
            break
    return {
        "image_id": sample.image_id,
        "image": image,
        "id_map": id_map,
        "segment_ids": ids[present],
        "class_labels": labels[present],
    }
