"""Checks and gathers the labels given to `forward`."""

from collections.abc import Sequence

import torch
from torch import Tensor

from eomt.points import ImageTargets


def gather_targets(
    batch_size: int,
    num_labels: int,
    mask_labels: Sequence[Tensor] | None,
    class_labels: Sequence[Tensor] | None,
    id_maps: Tensor | Sequence[Tensor] | None,
    segment_ids: Sequence[Tensor] | None,
    device: torch.device,
) -> tuple[list[ImageTargets], list[Tensor]] | None:
    """
    The segments of each image, from masks or from id maps.

    Args:
        batch_size: `B`.
        num_labels: `C`.
        mask_labels: B tensors (n, H, W).
        class_labels: B tensors (n,).
        id_maps: (B, H, W) integers, or B tensors (H, W); where segments overlap (L, H, W), L planes of them.
        segment_ids: B tensors (n,), the ids that are segments, in the order of `class_labels`.
        device: of the model's outputs.

    Returns:
        Targets and classes of each image, or None where no labels were given.

    Raises:
        ValueError: for labels given in both forms or in half of one, one too many or too few for the batch, of a wrong shape,
            or a class outside `0..C - 1`.
    """
    given = {"mask_labels": mask_labels, "class_labels": class_labels, "id_maps": id_maps, "segment_ids": segment_ids}
    names = {name for name, value in given.items() if value is not None}
    if not names:
        return None
    if names not in ({"mask_labels", "class_labels"}, {"id_maps", "segment_ids", "class_labels"}):
        raise ValueError(
            f"labels were given as {', '.join(sorted(names))}; give either mask_labels and class_labels, "
            "or id_maps, segment_ids and class_labels"
        )
    for name in sorted(names):
        if len(given[name]) != batch_size:
            raise ValueError(f"{name} has {len(given[name])} entries for {batch_size} images; give one an image")
    maps, ids = (mask_labels, [None] * batch_size) if mask_labels is not None else (id_maps, segment_ids)
    return _gather_images(maps, ids, class_labels, num_labels, device)


@torch.compiler.disable  # looks at values, and every new number of segments would be compiled anew
def _gather_images(
    maps: Sequence[Tensor], ids: Sequence[Tensor | None], class_labels: Sequence[Tensor], num_labels: int, device: torch.device
) -> tuple[list[ImageTargets], list[Tensor]]:
    targets, classes = [], []
    for image, (own_maps, own_ids, labels) in enumerate(zip(maps, ids, class_labels, strict=True)):
        _check_image(image, own_maps, own_ids, labels, num_labels)
        targets.append(ImageTargets(own_maps.to(device), None if own_ids is None else own_ids.to(device)))
        classes.append(labels.to(device=device, dtype=torch.int64))
    return targets, classes


def _check_image(image: int, maps: Tensor, ids: Tensor | None, labels: Tensor, num_labels: int) -> None:
    form, dims = ("mask_labels", (3,)) if ids is None else ("id_maps", (2, 3))
    if maps.dim() not in dims:
        wanted = "(segments, height, width)" if ids is None else "(height, width) or (planes, height, width)"
        raise ValueError(f"{form}[{image}] has shape {tuple(maps.shape)}; expected {wanted}")
    count = len(maps) if ids is None else len(ids)
    if labels.dim() != 1 or len(labels) != count:
        raise ValueError(f"class_labels[{image}] has shape {tuple(labels.shape)} for {count} segments; give one class a segment")
    if ids is not None and ids.device.type == "cpu" and len(ids.unique()) < count:
        raise ValueError(f"segment_ids[{image}] names {ids.tolist()}, one of them twice; an id is one segment")
    if labels.device.type == "cpu" and count and not 0 <= int(labels.min()) <= int(labels.max()) < num_labels:
        wrong = sorted({label for label in labels.tolist() if not 0 <= label < num_labels})
        raise ValueError(f"class_labels[{image}] holds {wrong}; allowed are 0..{num_labels - 1} (config.num_labels)")
