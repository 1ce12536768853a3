"""What both image processors share: everything but resizing, padding and normalising, which a backend does.

A call reads the images (`pixels`), lays each out in the model's input (`sizes`), has the backend's `_preprocess` make the inputs,
and makes the targets of the same layout (`label_maps`). `PostProcessing` goes the way back.

Shapes: B model inputs, n segments, H, W pixels.
"""

import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers.image_processing_utils import BatchFeature
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD, ImageInput, PILImageResampling
from transformers.processing_utils import ImagesKwargs
from transformers.utils import logging

from eomt.image_processing.label_maps import (
    as_map_list,
    read_label_map,
    resize_label_map,
    segment_classes,
    target_classes,
    targets_of,
)
from eomt.image_processing.pixels import flat_list, image_to_tensor
from eomt.image_processing.post_processing import PostProcessing
from eomt.image_processing.sizes import Layout, canvas_size, image_layout

logger = logging.get_logger(__name__)


class EomtImageProcessorKwargs(ImagesKwargs, total=False):
    """What EoMT's processors take beyond transformers' common settings; see `EomtProcessorBase`."""

    do_split_image: bool
    ignore_index: int | None
    do_reduce_labels: bool
    stuff_classes: list[int] | None


class EomtProcessorBase(PostProcessing):
    """Image processor of EoMT: images and labels to model inputs and targets, and outputs to segments.

    For panoptic and instance segmentation an image is fitted inside `size` and padded with black at the right and bottom. For
    semantic segmentation (`do_split_image=True` with `size={"shortest_edge": S}`) its short side becomes S, and square windows are
    cut along the long side (paper A.3).

    Args:
        do_resize: resizes to `size` (default True).
        size: `shortest_edge` and `longest_edge` are the height and width of the model's input, pixels, and an image is fitted
            inside (default 640 and 640). To `height` and `width` an image is stretched.
        resample: PIL's number of the filter for resizing, with antialiasing: 0 nearest, 1 Lanczos, 2 bilinear (default), 3 bicubic.
            `EomtImageProcessorPil` takes PIL's others as well, such as 4 box and 5 Hamming.
        do_split_image: cuts windows as wide as the short side of `size` (default False).
        do_pad: pads to `size` (default True; in transformers False, where the model refuses images that aren't square).
        do_convert_rgb: turns grey, palette, RGBA and 16-bit images into 8-bit RGB (default True).
        do_rescale, rescale_factor: multiplies pixels by the factor (default True and 1 / 255).
        do_normalize, image_mean, image_std: subtracts the mean and divides by the deviation of each channel, both of pixels in
            0..1 (default True and ImageNet's).
        ignore_index: the value of void pixels in maps, which belong to no mask (default None). Unlike in transformers, it doesn't
            reduce the other labels.
        do_reduce_labels: label 0 is void, and the other labels are reduced by one (default False).
        stuff_classes: classes that `post_process_panoptic_segmentation` merges to one segment each, and that
            `post_process_instance_segmentation` leaves out (default None).

    Raises:
        ValueError: `size` has neither `shortest_edge` nor `height` and `width`, or an edge below 1; or there is no such `resample`.
    """

    filters = tuple(sorted(PILImageResampling))  # that the backend resizes by
    resample = PILImageResampling.BILINEAR
    image_mean = IMAGENET_DEFAULT_MEAN
    image_std = IMAGENET_DEFAULT_STD
    size = {"shortest_edge": 640, "longest_edge": 640}
    default_to_square = False
    do_convert_rgb = True
    do_resize = True
    do_rescale = True
    do_normalize = True
    do_split_image = False
    do_pad = True
    ignore_index = None
    do_reduce_labels = False
    stuff_classes = None

    def __init__(self, **kwargs: Any):
        for name in ("do_convert_rgb", "do_split_image", "do_pad", "do_reduce_labels"):
            if kwargs.get(name, self) is None:  # how transformers 4.x saves what wasn't set
                del kwargs[name]
        if kwargs.get("stuff_classes") is not None:
            kwargs["stuff_classes"] = sorted(int(label) for label in kwargs["stuff_classes"])
        super().__init__(**kwargs)
        canvas_size(self.size)  # raises for a wrong `size` here, and not at the first image
        self._check_resample(self.resample)

    @classmethod
    def from_dict(cls, image_processor_dict: dict[str, Any], **kwargs: Any):
        """Builds a processor from a saved configuration of this package or of transformers 4.x and 5.x.

        A configuration with `ignore_index` but no `do_reduce_labels` was saved by transformers' own processor, where `ignore_index`
        means reducing. It is loaded with `do_reduce_labels=True`, with a warning.
        """
        names = image_processor_dict.keys() | kwargs.keys()
        if image_processor_dict.get("ignore_index") is not None and "do_reduce_labels" not in names:
            logger.warning(
                f"This configuration has ignore_index={image_processor_dict['ignore_index']} and no do_reduce_labels: it "
                "was saved by transformers' own processor, where ignore_index makes label 0 void and counts the others "
                "from one less. Loaded with do_reduce_labels=True. Pass do_reduce_labels=False if your labels aren't to "
                "be reduced; saving the processor again settles it."
            )
            image_processor_dict = {**image_processor_dict, "do_reduce_labels": True}
        return super().from_dict(image_processor_dict, **kwargs)

    @classmethod
    def from_json_file(cls, json_file: str | os.PathLike):
        """As `from_dict`, from a file."""
        with open(json_file, encoding="utf-8") as file:
            return cls.from_dict(json.load(file))

    def to_dict(self) -> dict[str, Any]:
        """The configuration as saved; always has `ignore_index` and `do_reduce_labels`."""
        return {**super().to_dict(), "ignore_index": self.ignore_index, "do_reduce_labels": self.do_reduce_labels}

    def preprocess(
        self,
        images: ImageInput,
        segmentation_maps: ImageInput | None = None,
        instance_id_to_semantic_id: list[dict[int, int]] | dict[int, int] | None = None,
        segments_info: list[list[dict]] | list[dict] | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Turns images, and optionally their labels, into model inputs and targets.

        Args:
            images: one or more paths, URLs, PIL images (turned upright by their EXIF orientation), arrays or tensors. The values of
                floats are not changed: they must be in 0..255, or in 0..1 with `do_rescale=False`.
            segmentation_maps: one map for each image, of the (upright) image's size: (H, W) ids, or RGB panoptic PNGs.
            instance_id_to_semantic_id: the class of each id, one dict for all images or a list with a dict for each. Without it
                the ids are classes.
            segments_info: in place of `instance_id_to_semantic_id`, for each image a list of {id, category_id or label_id,
                iscrowd}. Crowds are no targets, and an unlisted id 0 is void.
            **kwargs: settings for this call alone; `return_tensors` ("pt" or "np"); `input_data_format`, which says where an array
                has its channels.

        Returns:
            pixel_values: (B, 3, H, W).
            image_layouts: int64 (B, 4), (content height, content width, input height, input width) in pixels: the size to which an
                image was resized before it was cut into windows or padded, and the size of the model's input. Post-processing
                needs it in the model's outputs, which have it if the model is called with all that is returned here.
            patch_offsets: with `do_split_image` alone, for each window its image's index and its first and one past its last pixel
                along the long side, B tensors (3,).
            mask_labels, class_labels: with `segmentation_maps` alone, for each model input float32 masks (n, H, W) and int64
                classes (n,). Void and padding belong to no mask.

        Raises:
            ValueError: no images, unreadable or malformed images and maps, maps of another size than their image, unknown ids, or
                images that don't stack because `do_pad` is off.
        """
        return super().preprocess(images, segmentation_maps, instance_id_to_semantic_id, segments_info, **kwargs)

    def _validate_preprocess_kwargs(self, **kwargs: Any) -> None:
        super()._validate_preprocess_kwargs(**kwargs)
        self._check_resample(kwargs["resample"])

    def _check_resample(self, resample: PILImageResampling | int | None) -> None:
        if resample is not None and resample not in self.filters:
            taken = ", ".join(f"{value.value} ({value.name.lower()})" for value in self.filters)
            raise ValueError(f"resample={resample!r} is no filter of {type(self).__name__}; give one of {taken}")

    def _preprocess_image_like_inputs(
        self,
        images: ImageInput,
        segmentation_maps: ImageInput | None,
        instance_id_to_semantic_id: list[dict[int, int]] | dict[int, int] | None,
        segments_info: list[list[dict]] | list[dict] | None,
        **kwargs: Any,
    ) -> BatchFeature:
        if kwargs["do_split_image"] and min(canvas_size(kwargs["size"])) == (kwargs["size"].longest_edge or 0):
            logger.warning_once(
                f"do_split_image with size={dict(kwargs['size'])} gives one padded window an image, since longest_edge "
                'bounds the long side. Pass size={"shortest_edge": ...} alone to have windows along it.'
            )
        pixels = self._read_images(images, **kwargs)
        image_sizes = [tuple(image.shape[-2:]) for image in pixels]
        layouts = [
            image_layout(size, kwargs["size"], kwargs["do_resize"], kwargs["do_split_image"], kwargs["do_pad"])
            for size in image_sizes
        ]
        inputs = self._preprocess(pixels, layouts, **kwargs)
        data = {
            "pixel_values": [window for windows in inputs for window in windows],
            "image_layouts": [
                torch.tensor((*layout.content, *layout.canvas))
                for layout, windows in zip(layouts, inputs, strict=True)
                for _ in windows
            ],
        }
        if kwargs["do_split_image"]:  # an empty list would have no first row, which `datasets` and DataLoaders ask for
            data["patch_offsets"] = [torch.tensor((i, *window)) for i, layout in enumerate(layouts) for window in layout.windows]
        if segmentation_maps is not None:
            tables = _class_tables(instance_id_to_semantic_id, segments_info, len(pixels))
            maps = as_map_list(segmentation_maps, len(pixels))
            targets = [
                target
                for i, label_map in enumerate(maps)
                for target in self._targets(label_map, tables[i], segments_info is not None, layouts[i], image_sizes[i], i, kwargs)
            ]
            data["mask_labels"] = [masks for masks, _ in targets]
            data["class_labels"] = [classes for _, classes in targets]
        _check_stackable(data["pixel_values"], kwargs["return_tensors"])
        return BatchFeature(
            data,
            tensor_type=kwargs["return_tensors"],
            skip_tensor_conversion=["patch_offsets", "mask_labels", "class_labels"],
        )

    def _read_images(self, images: ImageInput, **kwargs: Any) -> list[torch.Tensor]:
        rescale = kwargs["do_rescale"]
        images = [
            image_to_tensor(image, f"images[{i}]", kwargs["do_convert_rgb"], kwargs["input_data_format"], 255.0 if rescale else 1.0)
            for i, image in enumerate(flat_list(images))
        ]
        if not images:
            raise ValueError("images has no image. Pass one or more.")
        if rescale and any(image.is_floating_point() and image.max() <= 1 for image in images):
            logger.warning_once(
                "An image of floats within 0..1 is rescaled by 1/255 and becomes all but black. Pass do_rescale=False."
            )
        if kwargs["do_normalize"]:
            _check_channels(images, kwargs["image_mean"], kwargs["image_std"])
        return images

    def _targets(
        self,
        label_map: ImageInput,
        classes: dict[int, int | None] | None,
        from_table: bool,
        layout: Layout,
        image_size: tuple[int, int],
        index: int,
        kwargs: dict[str, Any],
    ) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """The targets in each model input of image `index`; `kwargs` are the settings of the call."""
        name = f"segmentation_maps[{index}]"
        ids, is_rgb = read_label_map(label_map, name, image_size)
        if tuple(ids.shape) != image_size:
            raise ValueError(
                f"{name} has {tuple(ids.shape)} pixels (height, width), but images[{index}] has {image_size}. A map must "
                "be as large as its image, upright by the image's EXIF orientation."
            )
        if is_rgb and classes is None:
            raise ValueError(f"{name} is RGB: it needs segments_info (or instance_id_to_semantic_id) with its ids' classes.")
        ids = resize_label_map(ids, layout.content)
        targets = target_classes(
            torch.unique(ids).tolist(), classes, kwargs["ignore_index"], kwargs["do_reduce_labels"], from_table, name
        )
        return targets_of(ids, layout, targets)


def _class_tables(
    instance_id_to_semantic_id: list[dict] | dict | None, segments_info: list | None, num_images: int
) -> list[dict[int, int | None] | None]:
    """{id: class} for each image, from whichever argument was given, or None where ids are classes."""
    if instance_id_to_semantic_id is not None and segments_info is not None:
        raise ValueError("Got both instance_id_to_semantic_id and segments_info. Pass one of them.")
    if segments_info is not None:
        if num_images == 1 and all(isinstance(entry, dict) for entry in segments_info):
            segments_info = [segments_info]
        _check_count("segments_info", len(segments_info), num_images)
        return [segment_classes(segments, f"segments_info[{i}]") for i, segments in enumerate(segments_info)]
    if isinstance(instance_id_to_semantic_id, list | tuple):
        _check_count("instance_id_to_semantic_id", len(instance_id_to_semantic_id), num_images)
        return [{int(i): int(c) for i, c in table.items()} for table in instance_id_to_semantic_id]
    if instance_id_to_semantic_id is not None:
        return [{int(i): int(c) for i, c in instance_id_to_semantic_id.items()}] * num_images
    return [None] * num_images


def _check_count(name: str, got: int, num_images: int) -> None:
    if got != num_images:
        raise ValueError(f"{name} has {got} entries for {num_images} images. Pass one for each image.")


def _check_channels(images: list[torch.Tensor], mean: float | Sequence[float], std: float | Sequence[float]) -> None:
    for i, image in enumerate(images):
        for name, values in (("image_mean", mean), ("image_std", std)):
            if np.size(values) not in (1, len(image)):
                raise ValueError(
                    f"{name} has {len(values)} values, but images[{i}] has {len(image)} channels. "
                    "Give one value for each channel, or one for all."
                )


def _check_stackable(pixel_values: list, return_tensors: str | None) -> None:
    sizes = {tuple(image.shape[-2:]) for image in pixel_values}
    if return_tensors is not None and len(sizes) > 1:
        raise ValueError(
            f"The images have the sizes {sorted(sizes)} after resizing and can't be one batch. Pass do_pad=True, or one "
            "image a call."
        )
