"""Checks and gathers the labels given to `forward`."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from eomt.criterion.points import bilinear_corners, sample_shared


@dataclass
class ImageTargets:
    """
    The segments of one image, as masks or as an id map with the ids of its segments.

    Args:
        maps: masks (n, H, W), bool or any number type, or an integer id map (H, W), or (L, H, W) where segments overlap.
        segment_ids: (n,) ids of the segments in the id map; None for masks. A pixel with another id is in no segment.
    """

    maps: Tensor
    segment_ids: Tensor | None = None

    def __len__(self) -> int:
        return len(self.maps) if self.segment_ids is None else len(self.segment_ids)

    def sample_all(self, points: Tensor) -> Tensor:
        """Values of every segment's mask at the same points: (P, 2) -> (n, P) float32."""
        if not len(self):
            return points.new_zeros(0, len(points))
        if self.segment_ids is None:
            return sample_shared(self.maps[None], points[None])[0]
        pixels, weights = bilinear_corners(points, *self.maps.shape[-2:])  # (P, 4)
        segments, is_segment = self._segments_of(self._ids_at(pixels))  # (L, P, 4)
        corners = segments.transpose(1, 2).flatten(0, 1)  # (L * 4, P)
        sums = weights.new_zeros(len(self), len(points))
        return sums.scatter_add_(0, corners, (weights * is_segment).transpose(1, 2).flatten(0, 1))

    def sample_each(self, segments: Tensor, points: Tensor) -> Tensor:
        """Values of chosen segments' masks, each at its own points: (M,), (M, P, 2) -> (M, P) float32."""
        pixels, weights = bilinear_corners(points, *self.maps.shape[-2:])  # (M, P, 4)
        if self.segment_ids is None:
            values = self.maps.flatten(1)[segments[:, None, None], pixels].to(weights.dtype)
        else:
            values = (self._ids_at(pixels) == self.segment_ids[segments][:, None, None]).any(0)
        return (values * weights).sum(-1)

    def covered_cells(self, grid: tuple[int, int]) -> Tensor:
        """The cells of a grid in which each segment has a pixel: `(h, w)` -> bool (n, h * w)."""
        height, width = self.maps.shape[-2:]
        count = grid[0] * grid[1]
        rows, columns = (torch.arange(size, device=self.maps.device) for size in (height, width))
        cells = (rows * grid[0] // height * grid[1])[:, None] + columns * grid[1] // width  # (H, W), the cell of each pixel
        if self.segment_ids is None:
            inside = (self.maps != 0).flatten(1).float()  # (n, H * W)
            return inside.new_zeros(len(self), count).scatter_add_(1, cells.flatten().expand_as(inside), inside) > 0
        covered = torch.zeros(len(self) * count + 1, dtype=torch.bool, device=self.maps.device)  # the last is of no segment
        if len(self):
            segments, is_segment = self._segments_of(self.maps.long())  # (H, W) or (L, H, W)
            covered[torch.where(is_segment, segments * count + cells, len(covered) - 1).flatten()] = True
        return covered[:-1].view(len(self), count)

    def _segments_of(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Which of the n segments each id (...) is, (...), and whether it is any."""
        order = self.segment_ids.argsort()
        sorted_ids = self.segment_ids[order].long()
        # each id's position among the sorted ids, where it would be if it were there: a search instead of n comparisons a pixel
        position = torch.searchsorted(sorted_ids, ids).clamp(max=len(self) - 1)
        return order[position], sorted_ids[position] == ids

    def _ids_at(self, pixels: Tensor) -> Tensor:
        """(...) flat pixel indices -> (L, ...) ids."""
        return self.maps.reshape(-1, self.maps.shape[-2] * self.maps.shape[-1])[:, pixels].long()


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
        class_labels: B tensors (n,) of integers.
        id_maps: (B, H, W) integers, or B tensors (H, W); where segments overlap (L, H, W), L planes of them.
        segment_ids: B tensors (n,) of integers, the ids that are segments, in the order of `class_labels`.
        device: of the model's outputs.

    Returns:
        Targets and classes of each image, or None where no labels were given.

    Raises:
        ValueError: for labels given in both forms or in half of one, one too many or too few for the batch, of a wrong shape,
            of a wrong type, or a class outside `0..C - 1`.
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
    for image, (image_maps, image_ids, labels) in enumerate(zip(maps, ids, class_labels, strict=True)):
        labels = _as_int64(f"class_labels[{image}]", labels)
        if image_ids is not None:
            image_ids = _as_int64(f"segment_ids[{image}]", image_ids)
        _check_image(image, image_maps, image_ids, labels, num_labels)
        targets.append(ImageTargets(image_maps.to(device), None if image_ids is None else image_ids.to(device)))
        classes.append(labels.to(device))
    return targets, classes


def _as_int64(name: str, values: Tensor) -> Tensor:
    """Integers of any type as int64: PyTorch has neither minima nor comparisons of wide unsigned ones."""
    if values.is_floating_point() and values.numel():  # PyTorch makes floats of an empty list
        raise ValueError(f"{name} has the type {values.dtype}, which would be cut; give integers")
    return values.long()


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
