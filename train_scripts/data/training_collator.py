"""Training samples -> a batch for the model.

Shapes: B images, S pixels of a crop's side, n segments of an image, P planes of an id map.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from eomt.image_processing.augmentation import PADDING_ID, normalize


class TrainingCollator:
    """
    Joins B samples of a [`TrainingStream`] to a batch:

    - for the model: `pixel_values` (B, 3, S, S) float32; `id_maps` (B, S, S) or (B, P, S, S) int32; `segment_ids` and
      `class_labels`, lists of B tensors (n,); `sample_keys` (B,) int64;
    - for records: `images`, B dicts of `image_id`, `sample_key`, `epoch`, `worker` and `row`; `skipped`, the reasons why rows
      were left out.

    A batch that was trained on before the run was resumed, whose samples are None, is an empty dict.

    Args:
        mean, std: of each channel, with which pixels in 0..1 are normalised.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]):
        self.mean, self.std = mean, std

    def __call__(self, samples: list[dict | None]) -> dict:
        if samples[0] is None:
            return {}
        return {
            "pixel_values": normalize(torch.stack([sample["image"] for sample in samples]), self.mean, self.std),
            "id_maps": stack_id_maps([sample["id_map"] for sample in samples]),
            "segment_ids": [sample["segment_ids"] for sample in samples],
            "class_labels": [sample["class_labels"] for sample in samples],
            "sample_keys": torch.tensor([sample["sample_key"] for sample in samples]),
            "images": [{name: sample[name] for name in ("image_id", "sample_key", "epoch", "worker", "row")} for sample in samples],
            "skipped": [reason for sample in samples for reason in sample["skipped"]],
        }


def stack_id_maps(id_maps: Sequence[Tensor]) -> Tensor:
    """B maps (S, S) or (P, S, S) -> (B, S, S) if none has planes, else (B, P, S, S).

    P is the largest number of planes. Those that a map lacks are filled with the id of padding.
    """
    if all(id_map.ndim == 2 for id_map in id_maps):
        return torch.stack(list(id_maps))
    planes = [id_map[None] if id_map.ndim == 2 else id_map for id_map in id_maps]
    stacked = torch.full((len(planes), max(map(len, planes)), *planes[0].shape[1:]), PADDING_ID, dtype=planes[0].dtype)
    for padded, of_image in zip(stacked, planes, strict=True):
        padded[: len(of_image)] = of_image
    return stacked
