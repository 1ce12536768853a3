"""Formats are detected from annotations, and splits from the folders of makers and exporting tools."""

import json

import numpy as np
import pytest

from eomt.train_scripts.data.formats.detection import detect_format, find_splits

VIA = {"a.jpg1": {"filename": "a.jpg", "regions": []}}
INSTANCES = {"images": [], "annotations": [{"image_id": 1, "segmentation": []}], "categories": []}
PANOPTIC = {"images": [], "annotations": [{"image_id": 1, "segments_info": []}], "categories": []}


@pytest.fixture
def tree(tmp_path, photo, index_image):
    """`tree(*names)`: writes files by their suffix."""

    def write(*names: str):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".json":
                content = VIA if "via" in name else PANOPTIC if "panoptic" in name else INSTANCES
                path.write_text(json.dumps(content))
            elif path.suffix in (".txt", ".yaml", ""):
                path.write_text("")
            elif path.suffix == ".jpg":
                photo(path)
            else:
                index_image(path, np.zeros((2, 2)))
        return tmp_path

    return write


def splits_of(folder, chosen=None) -> list[tuple[str, str, str, str]]:
    return [
        (split.name, split.format, *(path.relative_to(folder).as_posix() for path in (split.images, split.annotations)))
        for split in find_splits(folder, chosen)
    ]


LAYOUTS = {
    "coco": (
        ["annotations/instances_val2017.json", "annotations/instances_train2017.json", "train2017/1.jpg", "val2017/2.jpg"],
        [
            ("train", "coco_instances", "train2017", "annotations/instances_train2017.json"),
            ("val", "coco_instances", "val2017", "annotations/instances_val2017.json"),
        ],
    ),
    "panoptic beside photos": (
        ["panoptic_train2017.json", "train2017/1.jpg", "panoptic_train2017/1.png"],
        [("train", "coco_panoptic", "train2017", "panoptic_train2017.json")],
    ),
    "an export of coco": (
        ["valid/_annotations.coco.json", "valid/1.jpg"],
        [("val", "coco_instances", "valid", "valid/_annotations.coco.json")],
    ),
    "cityscapes": (
        ["leftImg8bit/val/ulm/a_leftImg8bit.png", "gtFine/val/ulm/a_gtFine_labelIds.png"],
        [("val", "cityscapes", "leftImg8bit/val", "gtFine/val")],
    ),
    "ade20k": (
        ["images/training/ADE_train_00000001.jpg", "annotations/training/ADE_train_00000001.png"],
        [("train", "ade20k_semantic", "images/training", "annotations/training")],
    ),
    "yolo": (
        ["data.yaml", "images/train/1.jpg", "labels/train/1.txt", "images/val/2.jpg", "labels/val/2.txt"],
        [("train", "yolo", "images/train", "labels/train"), ("val", "yolo", "images/val", "labels/val")],
    ),
    "an export of yolo": (
        ["data.yaml", "train/images/1.jpg", "train/labels/1.txt", "valid/images/2.jpg", "valid/labels/2.txt"],
        [("train", "yolo", "train/images", "train/labels"), ("val", "yolo", "valid/images", "valid/labels")],
    ),
    "via": (
        ["train/via_region_data.json", "train/1.jpg", "val/via_region_data.json"],
        [("train", "via", "train", "train/via_region_data.json"), ("val", "via", "val", "val/via_region_data.json")],
    ),
    "via beside photos": (["via_project.json", "1.jpg"], [("train", "via", ".", "via_project.json")]),
    "masks in folders named as ADE20K's": (
        ["images/training/1.jpg", "annotations/training/1.png"],
        [("train", "masks", "images/training", "annotations/training")],
    ),
    "folders that are no years of a split": (
        ["fold1/images/1.jpg", "fold1/masks/1.png", "fold2/images/1.jpg", "fold2/masks/1.png"],
        [("fold1", "masks", "fold1/images", "fold1/masks"), ("fold2", "masks", "fold2/images", "fold2/masks")],
    ),
    "cityscapes, whose test has no labels": (
        [
            *("leftImg8bit/val/ulm/a_leftImg8bit.png", "gtFine/val/ulm/a_gtFine_labelIds.png"),
            *("leftImg8bit/test/bonn/a_leftImg8bit.png", "gtFine/test/bonn/a_gtFine_labelIds.png"),
        ],
        [("val", "cityscapes", "leftImg8bit/val", "gtFine/val")],
    ),
    "ade20k with a stray file": (
        ["images/training/ADE_train_00000001.jpg", "annotations/training/ADE_train_00000001.png", "annotations/training/.DS_Store"],
        [("train", "ade20k_semantic", "images/training", "annotations/training")],
    ),
    "masks with notes": (
        ["images/1.jpg", "masks/1.png", "masks/README.txt", "masks/classes.txt"],
        [("train", "masks", "images", "masks")],
    ),
    "masks": (["images/1.jpg", "masks/1.png"], [("train", "masks", "images", "masks")]),
    "masks of splits": (
        ["images/train/1.jpg", "masks/train/1.png", "images/test/1.jpg", "masks/test/1.png"],
        [("test", "masks", "images/test", "masks/test"), ("train", "masks", "images/train", "masks/train")],
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_splits_are_found(tree, name):
    files, expected = LAYOUTS[name]
    folder = tree(*files)
    assert splits_of(folder) == expected
    for _, form, _, annotations in expected:
        assert detect_format(folder / annotations) == form


def test_annotations_of_several_formats_take_a_choice(tree):
    folder = tree("annotations/instances_val2017.json", "annotations/panoptic_val2017.json", "val2017/1.jpg")
    with pytest.raises(ValueError, match="formats coco_instances, coco_panoptic. Choose one by format"):
        find_splits(folder)
    assert splits_of(folder, "coco_panoptic") == [("val", "coco_panoptic", "val2017", "annotations/panoptic_val2017.json")]
    rooms = tree("images/validation/ADE_val_00000001.jpg", "annotations/validation/ADE_val_00000001.png")
    tree("annotations_instance/validation/ADE_val_00000001.png")
    assert splits_of(rooms, "ade20k_panoptic") == [("val", "ade20k_panoptic", "images/validation", "annotations/validation")]


def test_what_is_unknown_is_said_with_what_is_known(tree, tmp_path):
    with pytest.raises(ValueError, match="nowhere: no such folder"):
        find_splits(tmp_path / "nowhere")
    folder = tree("pictures/1.jpg")
    with pytest.raises(ValueError, match="no layout known here. Give images and annotations, or one of these:\n.*coco_panoptic"):
        find_splits(folder)
    with pytest.raises(ValueError, match="of the format yolo"):
        find_splits(folder, "yolo")
    with pytest.raises(ValueError, match="the format can't be determined. Give it: coco_panoptic"):
        detect_format(tree("papers/1").joinpath("papers"))
    (folder / "other.json").write_text("[]")
    with pytest.raises(ValueError, match="can't be determined"):
        detect_format(folder / "other.json")
    (folder / "broken.json").write_text("{")
    with pytest.raises(ValueError, match="broken.json is not JSON"):
        detect_format(folder / "broken.json")
