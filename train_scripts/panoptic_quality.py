"""Panoptic quality (Kirillov et al., "Panoptic Segmentation", CVPR 2019) by the rules of the COCO panoptic evaluation.

Shapes: C classes, n segments of an image's truth, m of its prediction, H, W pixels.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor


class PanopticQuality:
    """
    Adds up images and gives PQ, SQ and RQ.

    Of an image only four sums a class are kept, so processes score their own images and add their `state`s.

    Args:
        things: for each class, whether it is a thing.
    """

    def __init__(self, things: Sequence[bool]):
        self.things = torch.tensor(things, dtype=torch.bool)
        self.state = torch.zeros(len(things), 4, dtype=torch.float64)  # (C, 4): IoU sum, true positives, false ones, misses

    def add(
        self,
        segmentation: Tensor,
        segments_info: Sequence[Mapping],
        id_map: Tensor,
        segment_ids: Tensor,
        class_labels: Tensor,
        is_crowd: Tensor,
    ) -> None:
        """Scores an image.

        A predicted and a true segment of one class match when their IoU exceeds .5; void pixels don't count in it, and at most
        one match is possible. A prediction that lies mostly on void and on crowd of its class is no false positive; crowd is
        never a miss.

        Args:
            segmentation: (H, W) predicted ids; those that `segments_info` lacks, -1 for one, are void.
            segments_info: m entries with `id` and `label_id`.
            id_map: (H, W) true ids; those that `segment_ids` lacks are void.
            segment_ids, class_labels, is_crowd: (n,) each.

        Raises:
            ValueError: the maps differ in size, or a class doesn't exist.
        """
        if segmentation.shape != id_map.shape:
            raise ValueError(
                f"segmentation is {tuple(segmentation.shape)}, but id_map {tuple(id_map.shape)}. Post-process to the size of "
                "the truth, with target_sizes."
            )
        found = self._classes([segment["label_id"] for segment in segments_info], "segments_info")  # (m,)
        true = self._classes(class_labels.tolist(), "class_labels")  # (n,)
        crowd = is_crowd.numpy()
        overlaps = _overlaps(id_map, segment_ids.tolist(), segmentation, [segment["id"] for segment in segments_info])
        areas, found_areas = overlaps.sum(1)[1:], overlaps.sum(0)[1:]
        on_void, overlaps = overlaps[0, 1:], overlaps[1:, 1:]  # (m,), (n, m)

        same_class = true[:, None] == found
        union = areas[:, None] + found_areas - overlaps - on_void
        iou = overlaps / np.maximum(union, 1)
        match = same_class & ~crowd[:, None] & (iou > 0.5)
        on_crowd = (overlaps * (same_class & crowd[:, None])).sum(0)
        excused = on_void + on_crowd > 0.5 * found_areas
        state = self.state.numpy()
        np.add.at(state, (true, 0), (iou * match).sum(1))
        np.add.at(state, (true, 1), match.any(1))
        np.add.at(state, (found, 2), ~match.any(0) & ~excused & (found_areas > 0))
        np.add.at(state, (true, 3), ~match.any(1) & ~crowd & (areas > 0))

    def compute(self) -> dict[str, float | list[dict[str, float] | None]]:
        """
        Returns:
            In percent: `pq`, `sq`, `rq`, means over the classes that occur in truth or prediction (0 if none does), the same
            with `_things` and `_stuff` where there are such classes, and `per_class`, a list of C dicts of `pq`, `sq`, `rq`,
            None for a class that doesn't occur.
        """
        iou, hits, false, missed = self.state.cpu().unbind(1)
        occurs = hits + false + missed > 0
        quality = {
            "pq": 100 * iou / (hits + 0.5 * false + 0.5 * missed).clamp(min=0.5),
            "sq": 100 * iou / hits.clamp(min=1),
            "rq": 100 * hits / (hits + 0.5 * false + 0.5 * missed).clamp(min=0.5),
        }
        result = {}
        for suffix, group in (("", torch.ones_like(self.things)), ("_things", self.things), ("_stuff", ~self.things)):
            counted = group & occurs
            if group.any():
                means = {name: values[counted].mean().item() if counted.any() else 0.0 for name, values in quality.items()}
                result |= {f"{name}{suffix}": mean for name, mean in means.items()}
        table = zip(*(quality[name].tolist() for name in ("pq", "sq", "rq")), strict=True)
        rows = [dict(zip(("pq", "sq", "rq"), row, strict=True)) for row in table]
        result["per_class"] = [row if seen else None for row, seen in zip(rows, occurs.tolist(), strict=True)]
        return result

    def _classes(self, labels: Sequence[int], name: str) -> np.ndarray:
        if wrong := sorted({label for label in labels if not 0 <= label < len(self.things)}):
            raise ValueError(f"{name} has the classes {wrong}; allowed are 0..{len(self.things) - 1}, as many as things has.")
        return np.array(labels, dtype=np.int64)


def _overlaps(true_map: Tensor, true_ids: Sequence[int], found_map: Tensor, found_ids: Sequence[int]) -> np.ndarray:
    """(1 + n, 1 + m) pixel counts of each true and predicted segment's intersection; row and column 0 are void."""
    true, found = _numbered(true_map, true_ids), _numbered(found_map, found_ids)
    columns = len(found_ids) + 1
    counts = np.bincount((true * columns + found).ravel(), minlength=(len(true_ids) + 1) * columns)
    return counts.reshape(-1, columns)


def _numbered(id_map: Tensor, ids: Sequence[int]) -> np.ndarray:
    """Ids -> their place in `ids`, counting from 1; 0 for all others. Looked up in a table, which costs less than sorting."""
    pixels = id_map.cpu().numpy().astype(np.int64) + 1  # the least id is -1
    table = np.zeros(max(int(pixels.max(initial=0)), *(i + 1 for i in ids), 0) + 1, dtype=np.int64)
    table[[i + 1 for i in ids]] = np.arange(1, len(ids) + 1)
    return table[pixels]
