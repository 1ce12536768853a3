"""Segmentation maps -> the masks and classes a model is trained on.

Shapes: n segments of an image, H, W pixels.
"""

import os
from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from eomt.image_processing.pixels import as_tensor, load_pil
from eomt.image_processing.sizes import Layout, Size

INDEX_MODES = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L")  # PIL modes whose pixels are ids


def as_map_list(segmentation_maps: object, num_images: int) -> list:
    """One map an image, from a list, a single map, or an array of stacked maps.

    Raises:
        ValueError: there aren't as many maps as images.
    """
    if isinstance(segmentation_maps, list | tuple):
        maps = list(segmentation_maps)
    elif isinstance(segmentation_maps, np.ndarray | torch.Tensor) and segmentation_maps.ndim >= 3:
        one_map = num_images == 1 and segmentation_maps.ndim == 3 and bool(_channel_axes(segmentation_maps.shape))
        maps = [segmentation_maps] if one_map else list(segmentation_maps)
    else:
        maps = [segmentation_maps]
    if len(maps) != num_images:
        raise ValueError(f"segmentation_maps has {len(maps)} maps for {num_images} images. Pass one for each image.")
    return maps


def read_label_map(
    label_map: str | os.PathLike | Image.Image | np.ndarray | torch.Tensor, name: str, image_size: Size
) -> tuple[torch.Tensor, bool]:
    """Reads a segmentation map as ids.

    Args:
        label_map: ids as (H, W), (H, W, 1) or (1, H, W) of any integer type, a PIL image of indices, or RGB as (H, W, 3) or
            (3, H, W), which codes an id as R + 256 G + 65536 B (COCO panoptic). Paths are opened. PIL images are turned upright
            by their EXIF orientation, as images are.
        name: what error messages call it.
        image_size: of the image, (H, W). It tells which axis of an array has the channels where both ends may.

    Returns:
        The ids, int64 (H, W), and whether they were coded as RGB.

    Raises:
        ValueError: another type or shape, or values that aren't integers.
    """
    if isinstance(label_map, str | os.PathLike | Image.Image):
        image = load_pil(label_map, name)
        if image.mode not in (*INDEX_MODES, "RGB"):
            raise ValueError(f"{name} is a PIL image of mode {image.mode}, but must be one of {(*INDEX_MODES, 'RGB')}.")
        label_map, image_size = np.array(image), image.size[::-1]
    label_map = as_tensor(label_map, name)
    if label_map.is_floating_point() and not torch.equal(label_map, label_map.round()):  # also for NaN
        raise ValueError(f"{name} has values that aren't integers, but its values are class or segment ids.")
    ids = label_map.to(device="cpu", dtype=torch.int64)
    if ids.ndim == 2:
        return ids, False
    axes = _channel_axes(ids.shape) if ids.ndim == 3 else []
    if not axes:
        raise ValueError(f"{name} has the shape {tuple(ids.shape)}, but a map is (H, W), or (H, W, 3) when RGB.")
    planes = [ids.unbind(axis) for axis in axes]
    fitting = [channels for channels in planes if tuple(channels[0].shape) == tuple(image_size)]
    channels = (fitting or planes)[0]
    if len(channels) == 1:
        return channels[0], False
    red, green, blue = channels
    return red + 256 * green + 65536 * blue, True


def _channel_axes(shape: Sequence[int]) -> list[int]:
    """Which axes of an array of three may have the channels of a map: one, or three of RGB."""
    return [axis for axis in (-1, 0) if shape[axis] in (1, 3)]


def segment_classes(segments: Sequence[Mapping], name: str) -> dict[int, int | None]:
    """Reads one image's segment table as {id: class}. The class of a crowd is None: crowds are no targets.

    Raises:
        ValueError: an entry lacks `id`, or `category_id` (or `label_id`).
    """
    classes = {}
    for segment in segments:
        label = segment.get("category_id", segment.get("label_id"))
        if "id" not in segment or label is None:
            raise ValueError(f"{name} has the entry {dict(segment)}, but each needs `id` and `category_id` or `label_id`.")
        classes[int(segment["id"])] = None if segment.get("iscrowd") else int(label)
    return classes


def target_classes(
    ids: Sequence[int],
    classes: Mapping[int, int | None] | None,
    ignore_index: int | None,
    do_reduce_labels: bool,
    from_table: bool,
    name: str,
) -> dict[int, int]:
    """{id: class} of the ids that become targets. Void, crowd and ignored ids are left out.

    Args:
        ids: the ids a map holds.
        classes: the class of each id (None: crowd). Without it, ids are classes.
        ignore_index: this id is void, unless `classes` gives it a class other than itself.
        do_reduce_labels: id 0 (unless a table lists it) and class 0 are void; the other classes are reduced by one.
        from_table: whether `classes` is an image's segment table. An id 0 that it doesn't list is void then, as in COCO panoptic.
        name: what error messages call the map.

    Raises:
        ValueError: an id is unknown to `classes`, or a class is negative.
    """
    listed = classes or {}
    void_ids = {ignore_index} if listed.get(ignore_index, ignore_index) == ignore_index else set()
    if (from_table and 0 not in listed) or (do_reduce_labels and not from_table):
        void_ids.add(0)
    wanted = [i for i in ids if i not in void_ids]
    if classes is not None and (unknown := [i for i in wanted if i not in classes]):
        source = "segments_info" if from_table else "instance_id_to_semantic_id"
        raise ValueError(
            f"{name} holds {'ids' if len(unknown) > 1 else 'the id'} {', '.join(map(str, unknown[:10]))}"
            f"{' and more' if len(unknown) > 10 else ''}, which {source} of this image lacks. "
            "Add them there, or set ignore_index if that id is void."
        )
    raw = {i: i if classes is None else classes[i] for i in wanted}
    raw = {i: c for i, c in raw.items() if c is not None and not (do_reduce_labels and c == 0)}
    if negative := [c for c in raw.values() if c < 0]:
        raise ValueError(f"{name} gives the class {negative[0]}, but classes count from 0. Set ignore_index for void.")
    return {i: c - 1 if do_reduce_labels else c for i, c in raw.items()}


def resize_label_map(ids: torch.Tensor, size: Size) -> torch.Tensor:
    """(H, W) -> size, each pixel taking the id under its centre; exact for ids of any magnitude."""
    rows, cols = (_under_centres(old, new) for old, new in zip(ids.shape, size, strict=True))
    return ids[rows][:, cols]


def _under_centres(old: int, new: int) -> torch.Tensor:
    # torch resizes the indices, so that ties round as they do in transformers; ids as floats would lose digits above 2 ** 24
    return F.interpolate(torch.arange(old, dtype=torch.float32)[None, None], size=new, mode="nearest-exact")[0, 0].long()


def masks_and_classes(ids: torch.Tensor, classes: Mapping[int, int], canvas: Size) -> tuple[torch.Tensor, torch.Tensor]:
    """The targets in one model input.

    Args:
        ids: (H, W) ids that the input shows.
        classes: {id: class} of the targets.
        canvas: the size of the model input. Its padding belongs to no mask.

    Returns:
        Masks, float32 0 and 1, (n, *canvas), and classes, int64 (n,), by increasing id. Segments without a pixel in `ids` are
        left out.
    """
    present = [i for i in torch.unique(ids).tolist() if i in classes]
    masks = torch.zeros(len(present), *canvas)
    for mask, i in zip(masks, present, strict=True):
        mask[: ids.shape[0], : ids.shape[1]] = ids == i
    return masks, torch.tensor([classes[i] for i in present], dtype=torch.int64)


def targets_of(ids: torch.Tensor, layout: Layout, classes: Mapping[int, int]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Masks and classes of each model input of an image.

    Args:
        ids: ids of the size of `layout.content`.
    """
    return [masks_and_classes(ids[crop], classes, layout.canvas) for crop in layout.crops()]
