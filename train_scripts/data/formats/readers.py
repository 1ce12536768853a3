"""The annotation formats that `prepare` reads: a reader and a line here for each."""

from collections.abc import Callable
from pathlib import Path

from eomt.train_scripts.data.formats import (
    ade20k,
    cityscapes,
    coco_instances,
    coco_panoptic,
    hub,
    label_studio,
    labelme,
    masks,
    panoptic_masks,
    via,
    yolo,
)
from eomt.train_scripts.data.formats.source import Options, Source

# (images, annotations, options) -> the images of a split
READERS: dict[str, Callable[[Path, Path, Options], Source]] = {
    "coco_panoptic": coco_panoptic.read,
    "coco_instances": coco_instances.read,
    "cityscapes": cityscapes.read,
    "ade20k_semantic": ade20k.read_semantic,
    "ade20k_panoptic": ade20k.read_panoptic,
    "yolo": yolo.read,
    "via": via.read,
    "labelme": labelme.read,
    "label_studio": label_studio.read,
    "masks": masks.read,
    "panoptic_masks": panoptic_masks.read,
    "datasets": hub.read,
}
NAMES_CLASSES = {"coco_instances", "via", "labelme", "label_studio"}  # formats that write the names beside the segments
OPTIONS = {  # the fields of `Options` that a format has use for; formats that aren't listed have use for none
    "coco_panoptic": {"stuff"},
    "coco_instances": {"classes", "stuff", "crowds", "mask_orientation"},
    "yolo": {"classes", "stuff", "mask_orientation", "image_folders"},
    "via": {"classes", "stuff", "class_key", "mask_orientation"},
    "labelme": {"classes", "stuff", "mask_orientation"},
    "label_studio": {"classes", "stuff", "mask_orientation"},
    "masks": {"classes", "kind", "void", "values", "colours", "mask_suffix", "mask_orientation", "image_list"},
    "panoptic_masks": {"classes", "stuff", "void", "instances", "values", "mask_orientation"},
    "datasets": {
        *("classes", "stuff", "void", "kind", "values"),
        *("dataset_config", "image_column", "label_column", "id2label", "reduce_labels"),
    },
}
