"""A batch of training crops with fewer pixels, of which the same is seen.

Shapes: B crops, S pixels of a side, s pixels of a smaller one, n segments of a crop, P planes of an id map.
"""

from typing import Any

import torch
import torch.nn.functional as F

LABELS = ("segment_ids", "class_labels")


def with_smaller_crops(batch: dict[str, Any], side: int) -> dict[str, Any]:
    """The batch whose crops are resized: as if it had been cut with an `image_size` of `side`, up to the pixels' rounding.

    Images are resized bilinearly with antialiasing; ids are those under the new pixels' centres. Segments that have no pixel left
    are left out. Entries other than these stay as they are.

    Args:
        batch: `pixel_values` (B, 3, S, S), `id_maps` (B, S, S) or (B, P, S, S), `segment_ids` and `class_labels`, B tensors (n,).
        side: `s`, at most S.
    """
    full = batch["pixel_values"].shape[-1]
    centres = (2 * torch.arange(side) + 1) * full // (2 * side)
    id_maps = batch["id_maps"][..., centres, :][..., centres]
    present = [torch.isin(ids, of_crop) for ids, of_crop in zip(batch["segment_ids"], id_maps, strict=True)]
    images = F.interpolate(batch["pixel_values"], size=(side, side), mode="bilinear", antialias=True)
    return batch | {
        "pixel_values": images,
        "id_maps": id_maps,
        **{name: [values[seen] for values, seen in zip(batch[name], present, strict=True)] for name in LABELS},
    }
