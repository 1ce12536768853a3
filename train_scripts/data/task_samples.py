"""A dataset's sample -> what a task learns of it. Crowds stay crowds: scoring excuses them, and training leaves them out.

Shapes: n segments of an image, H, W pixels.
"""

from dataclasses import replace

import numpy as np
import torch

from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.planes import flatten_planes
from eomt.train_scripts.data.samples import Sample, present_segments


def semantic_sample(sample: Sample, labels: Labels) -> Sample:
    """The segments of a class become one; of segments that overlap, the smaller ones show."""
    return merge_classes(without_overlap(sample))


def panoptic_sample(sample: Sample, labels: Labels) -> Sample:
    """As it is, but that of segments that overlap the smaller ones show."""
    return without_overlap(sample)


def instance_sample(sample: Sample, labels: Labels) -> Sample:
    """Things alone, whose classes count among the things; they may overlap. Stuff becomes void.

    Args:
        labels: the dataset's classes.
    """
    things = torch.tensor(labels.isthing, dtype=torch.bool)
    index_among_things = things.cumsum(0) - 1  # of each class
    kept = things[sample.class_labels]  # pixels of a segment that isn't listed are void
    return replace(
        sample,
        segment_ids=sample.segment_ids[kept],
        class_labels=index_among_things[sample.class_labels[kept]],
        is_crowd=sample.is_crowd[kept],
    )


def without_overlap(sample: Sample) -> Sample:
    """One plane, and the segments of which something shows: of segments that overlap, the smaller ones."""
    if sample.id_map.ndim == 2:
        return sample
    id_map = torch.from_numpy(flatten_planes(sample.id_map.numpy()))
    shown = present_segments(id_map, sample.segment_ids)
    return replace(
        sample,
        id_map=id_map,
        segment_ids=sample.segment_ids[shown],
        class_labels=sample.class_labels[shown],
        is_crowd=sample.is_crowd[shown],
    )


def merge_classes(sample: Sample) -> Sample:
    """One segment a class, with the id class + 1, and one for each crowd; void is 0. Segments must not overlap."""
    crowd, labels = sample.is_crowd, sample.class_labels
    classes = labels[~crowd].unique()
    new_ids = labels + 1  # 0 stays void
    first_free = int(new_ids.max()) + 1 if len(labels) else 1
    new_ids[crowd] = first_free + torch.arange(int(crowd.sum()))
    ids = sample.id_map.numpy()
    table = np.zeros(max(int(ids.max(initial=0)), *sample.segment_ids.tolist(), 0) + 1, dtype=np.int32)  # of VOID
    table[sample.segment_ids.numpy()] = new_ids.numpy()
    return replace(
        sample,
        id_map=torch.from_numpy(table[ids]),
        segment_ids=torch.cat([classes + 1, new_ids[crowd]]),
        class_labels=torch.cat([classes, labels[crowd]]),
        is_crowd=torch.arange(len(classes) + int(crowd.sum())) >= len(classes),
    )
