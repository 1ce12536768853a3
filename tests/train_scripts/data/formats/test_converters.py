"""Datasets that no reader is here for are answered with a command that leads here."""

import re

import pytest

from eomt.train_scripts.data.formats.detection import detect_format, find_splits

KNOWN = {
    "Mapillary Vistas": (
        ["config_v2.0.json", "training/images/a.jpg", "training/v2.0/labels/a.png"],
        "-i {folder} -if mapillary_vistas_instances -f coco_instances -o set_coco -- --save-media, and then --source set_coco",
    ),
    "the full ADE20K": (
        ["images/ADE/training/a/b/ADE_train_1.jpg", "images/ADE/training/a/b/ADE_train_1_seg.png"],
        "-i {folder}/images/ADE -if ade20k2020 -f coco_instances -o set_coco -e '/item/annotation[type=\"polygon\"]'",
    ),
    "Open Images": (
        ["train/a.jpg", "masks/a_m01_1.png", "train-annotations-object-segmentation.csv"],
        "-i {folder} -if open_images -f coco_instances",
    ),
}
XML = {
    "<?xml version='1.0'?>\n<annotations><version>1.1</version>": "is CVAT's xml, which Datumaro converts: .* -i {folder} -if cvat",
    "<annotation><object><bndbox>": "has Pascal VOC's xml, in which objects have boxes and no outlines",
    "<html>": "has xml that no reader is here for",
}


@pytest.mark.parametrize("title", KNOWN)
def test_the_command_is_named(tmp_path, title):
    files, command = KNOWN[title]
    folder = tmp_path / "set"
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    with pytest.raises(ValueError) as error:
        find_splits(folder)
    assert f"is {title}, which Datumaro converts" in str(error.value) and command.format(folder=folder) in str(error.value)


@pytest.mark.parametrize("text", XML)
def test_xml_is_named(tmp_path, text):
    (tmp_path / "annotations.xml").write_text(text)
    message = XML[text].format(folder=re.escape(str(tmp_path)))
    for detect, path in ((find_splits, tmp_path), (detect_format, tmp_path / "annotations.xml"), (detect_format, tmp_path)):
        with pytest.raises(ValueError, match=message):
            detect(path)


def test_projects_of_supervisely_are_converted_by_its_sdk(tmp_path):
    (tmp_path / "set" / "ds0" / "ann").mkdir(parents=True)
    (tmp_path / "set" / "ds0" / "ann" / "a.jpg.json").write_text("{}")
    message = f"to_coco.'{re.escape(str(tmp_path / 'set'))}', dest_dir='set_coco'.*and then --source set_coco"
    for detect, path in ((find_splits, tmp_path / "set"), (detect_format, tmp_path / "set" / "ds0" / "ann")):
        with pytest.raises(ValueError, match=message):
            detect(path)
