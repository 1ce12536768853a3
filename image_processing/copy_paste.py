"""Copy-paste: things of one training crop over another (Ghiasi et al., CVPR 2021, arXiv 2012.07177).

Shapes: S pixels of a crop's side, n segments of a crop, k pasted ones, P planes of an id map whose segments overlap.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from eomt.image_processing.augmentation import PADDING_ID

LEAST_LEFT = 0.1  # share of a thing's area in the crop: of which less is left, it is no object any more


@dataclass(frozen=True)
class LabelledCrop:
    """An augmented image with its segments. Pixels whose id is not in `segment_ids` are void.

    Invariants: `len(segment_ids) == len(class_labels)`; ids are unique, at least 0, and each has a pixel.
    """

    image: Tensor  # (3, S, S) uint8
    id_map: Tensor  # (S, S) int32; (P, S, S) where segments overlap
    segment_ids: Tensor  # (n,) int64
    class_labels: Tensor  # (n,) int64


def random_things(crop: LabelledCrop, is_thing: Sequence[bool], generator: torch.Generator) -> Tensor:
    """Segments to paste: each thing with probability 1/2, and at least one.

    What overlaps a chosen thing is chosen as well. Its pixels would be copied with that thing's, but not its label.

    Args:
        crop: with n segments.
        is_thing: of each class.
        generator: decides.

    Returns:
        (n,) bool; nothing is chosen of a crop without things.
    """
    things = torch.tensor(is_thing)[crop.class_labels]
    drawn = torch.rand(len(things), generator=generator).masked_fill(~things, 2.0)
    chosen = drawn < 0.5
    if things.any() and not chosen.any():
        chosen[drawn.argmin()] = True
    if crop.id_map.ndim == 2 or not chosen.any():
        return chosen
    numbers = _numbers(crop.id_map.numpy(), crop.segment_ids[things])  # (P, S, S)
    grown = np.concatenate([[False], chosen[things].numpy()])
    reached = 0
    while grown.sum() > reached:
        reached = grown.sum()
        grown[np.unique(numbers[:, grown[numbers].any(0)])] = True
        grown[0] = False
    chosen[things] = torch.from_numpy(grown[1:])
    return chosen


def paste_segments(crop: LabelledCrop, source: LabelledCrop, chosen: Tensor, is_thing: Sequence[bool]) -> LabelledCrop:
    """Copies segments of one crop over another, where they are.

    Pixels are copied hard. What is covered loses these pixels in all planes. Segments that vanish are left out. A thing of which
    less than `LEAST_LEFT` remains is left out too, and its rest becomes void: what nobody could tell for an object teaches false
    shapes, and void is no segment's. A rest of stuff stays, since a patch of sky is sky.

    Args:
        crop: is covered. It is left alone.
        source: of which pixels are taken, of the same size.
        chosen: (n,) bool, of the source's segments.
        is_thing: of each class.

    Returns:
        The crop with its remaining segments, whose ids stay, and the k chosen ones, which have new ids. It has as many planes as
        the one of both that has more.
    """
    below, pasted = _alike_planes(crop.id_map.numpy(), _numbers(source.id_map.numpy(), source.segment_ids[chosen]))
    covered = pasted > 0 if pasted.ndim == 2 else (pasted > 0).any(0)
    pixels = np.flatnonzero(covered)  # of S^2; the rest need not be looked at
    kept = _remaining(below, pixels, crop, is_thing)
    for lost in crop.segment_ids[~kept].tolist():
        below[below == lost] = PADDING_ID
    first = max(int(crop.id_map.max()), -1) + 1
    numbers = _flat(pasted)[..., pixels]  # 1..k where pasted
    _flat(below)[..., pixels] = np.where(numbers > 0, numbers + (first - 1), PADDING_ID)
    image = crop.image.clone()
    image.permute(1, 2, 0).numpy()[covered] = source.image.permute(1, 2, 0).numpy()[covered]
    return LabelledCrop(
        image=image,
        id_map=torch.from_numpy(below),
        segment_ids=torch.cat([crop.segment_ids[kept], torch.arange(first, first + int(chosen.sum()))]),
        class_labels=torch.cat([crop.class_labels[kept], source.class_labels[chosen]]),
    )


def _remaining(id_map: np.ndarray, pixels: np.ndarray, crop: LabelledCrop, is_thing: Sequence[bool]) -> Tensor:
    """(n,) bool, which segments stay when some pixels are covered."""
    ids, labels = crop.segment_ids.tolist(), crop.class_labels.tolist()
    under = np.bincount(_numbers(_flat(id_map)[..., pixels], crop.segment_ids).ravel(), minlength=len(ids) + 1)[1:]
    kept = torch.ones(len(ids), dtype=torch.bool)
    for index in np.flatnonzero(under).tolist():
        area = int(np.count_nonzero(id_map == ids[index]))
        left = area - int(under[index])
        kept[index] = left > 0 and (left >= LEAST_LEFT * area or not is_thing[labels[index]])
    return kept


def _flat(id_map: np.ndarray) -> np.ndarray:
    """A map in C's order, (S, S) or (P, S, S), -> a view of it, (S^2,) or (P, S^2)."""
    return id_map.reshape(*id_map.shape[:-2], -1)


def _numbers(id_map: np.ndarray, segment_ids: Tensor) -> np.ndarray:
    """Ids -> 1..m where a pixel has one of the m ids, 0 elsewhere. The table's last entry serves the id -1."""
    ids = segment_ids.numpy()
    table = np.zeros(max(int(id_map.max(initial=0)), int(ids.max(initial=0))) + 2, dtype=np.int32)
    table[ids] = np.arange(1, len(ids) + 1)
    return table.take(id_map)


def _alike_planes(below: np.ndarray, pasted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both maps with as many planes, copied. New ones are empty: `PADDING_ID` below, where 0 may be a segment, and 0 above."""
    if below.ndim == pasted.ndim == 2:
        return np.array(below, order="C"), pasted
    below, pasted = (part[None] if part.ndim == 2 else part for part in (below, pasted))
    planes = max(len(below), len(pasted))
    padded = [np.full((planes, *part.shape[1:]), nothing, dtype=np.int32) for part, nothing in ((below, PADDING_ID), (pasted, 0))]
    for copy, part in zip(padded, (below, pasted), strict=True):
        copy[: len(part)] = part
    return tuple(padded)
