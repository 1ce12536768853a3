"""Augmented samples: crowds are no targets, and a crop that shows nothing is drawn again."""

import torch

from eomt.image_processing.augmentation import training_augmentation
from eomt.train_scripts.data.samples import Sample
from eomt.train_scripts.data.training_sample import ATTEMPTS, augment


def crowd_sample(crowd: list[bool], visible: bool = True) -> Sample:
    ids = torch.zeros(40, 40, dtype=torch.int32)
    ids[:20], ids[20:] = 1, 2
    return Sample(
        "x", torch.zeros(3, 40, 40, dtype=torch.uint8), ids, torch.tensor([1, 2]), torch.tensor([0, 1]), torch.tensor(crowd)
    )


def test_crowds_are_no_targets_and_nothing_but_crowd_trains_as_an_empty_image():
    one = augment(crowd_sample([True, False]), training_augmentation(32, 1.0, 1.0), key=0)
    assert one["segment_ids"].tolist() == [2] and one["class_labels"].tolist() == [1]
    calls = []

    def counted(image, id_map):
        calls.append(1)
        return image, id_map

    empty = augment(crowd_sample([True, True]), counted, key=0)
    assert empty["segment_ids"].shape == empty["class_labels"].shape == (0,) and len(calls) == 1


def test_crops_without_segments_are_drawn_again_but_not_for_ever():
    draws = []

    def hide(image, id_map, until):
        draws.append(torch.rand(()).item())
        return image, id_map if len(draws) > until else torch.full_like(id_map, -1)

    shown = augment(crowd_sample([False, False]), lambda *inputs: hide(*inputs, until=3), key=7)
    assert len(draws) == 4 and len(set(draws)) == 4 and shown["segment_ids"].tolist() == [1, 2]
    draws.clear()
    empty = augment(crowd_sample([False, False]), lambda *inputs: hide(*inputs, until=99), key=7)
    assert len(draws) == ATTEMPTS and len(empty["segment_ids"]) == 0
