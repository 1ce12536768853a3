"""The samples of tasks: what of a dataset's sample a task learns and scores.

Crowds stay crowds. Training leaves them out, and scoring ignores what is predicted on them.

Shapes: n segments of an image, P planes of an id map, H, W pixels.
"""

from dataclasses import replace

import numpy as np
import torch

from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.planes import flatten_planes
from eomt.train_scripts.data.samples import Sample, present_segments


def semantic_sample(sample: Sample, labels: Labels) -> Sample:
    """The segments of a class become one. Where segments overlap, the smaller one shows."""
    return merge_classes(without_overlap(sample))


def panoptic_sample(sample: Sample, labels: Labels) -> Sample:
    """Things as they are, and one segment for each class of stuff. Where segments overlap, the smaller one shows."""
    return merge_stuff(without_overlap(sample), labels)


def instance_sample(sample: Sample, labels: Labels) -> Sample:
    """Things alone, which may overlap. Their class indices count things alone. Stuff becomes void."""
    things = torch.tensor(labels.isthing, dtype=torch.bool)  # (classes,)
    index_among_things = things.cumsum(0) - 1
    kept = things[sample.class_labels]  # (n,); the map keeps the ids of the others, whose pixels are void since no segment has them
    return _kept(sample, kept, class_labels=index_among_things[sample.class_labels[kept]])


def without_overlap(sample: Sample) -> Sample:
    """A map of one plane, (P, H, W) -> (H, W). Where segments overlap, the smaller one shows. Segments that don't show are left
    out."""
    if sample.id_map.ndim == 2:
        return sample
    id_map = torch.from_numpy(flatten_planes(sample.id_map.numpy()))
    shown = present_segments(id_map, sample.segment_ids)
    return _kept(sample, shown, id_map=id_map)


def merge_stuff(sample: Sample, labels: Labels) -> Sample:
    """The segments of a stuff class become one, whose id is the first's. Who draws outlines makes a segment of each region of sky.

    Args:
        sample: without overlaps.
        labels: the dataset's classes.
    """
    id_map, firsts, kept = sample.id_map, {}, torch.ones_like(sample.is_crowd)
    for index, (segment_id, label) in enumerate(zip(sample.segment_ids.tolist(), sample.class_labels.tolist(), strict=True)):
        if labels.isthing[label] or sample.is_crowd[index]:
            continue
        first = firsts.setdefault(label, segment_id)
        if first != segment_id:
            id_map = torch.where(id_map == segment_id, first, id_map)
            kept[index] = False
    if kept.all():
        return sample
    return _kept(sample, kept, id_map=id_map)


def merge_classes(sample: Sample) -> Sample:
    """One segment for each class, whose id is the class index + 1, and one for each crowd. The id of void is 0.

    Args:
        sample: without overlaps.
    """
    crowd, labels = sample.is_crowd, sample.class_labels
    classes = labels[~crowd].unique()
    new_ids = labels + 1  # 0 stays void
    first_free = int(new_ids.max()) + 1 if len(labels) else 1
    new_ids[crowd] = first_free + torch.arange(int(crowd.sum()))
    ids = sample.id_map.numpy()
    new_id_of = np.zeros(max(int(ids.max(initial=0)), *sample.segment_ids.tolist(), 0) + 1, dtype=np.int32)
    new_id_of[sample.segment_ids.numpy()] = new_ids.numpy()
    return replace(
        sample,
        id_map=torch.from_numpy(new_id_of[ids]),
        segment_ids=torch.cat([classes + 1, new_ids[crowd]]),
        class_labels=torch.cat([classes, labels[crowd]]),
        is_crowd=torch.arange(len(classes) + int(crowd.sum())) >= len(classes),
    )


def _kept(sample: Sample, kept: torch.Tensor, **changes: torch.Tensor) -> Sample:
    """The sample with some of its segments, (n,) bool, and other changes."""
    columns = {name: getattr(sample, name)[kept] for name in ("segment_ids", "class_labels", "is_crowd")}
    return replace(sample, **{**columns, **changes})
