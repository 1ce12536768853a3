"""The options of `prepare`: names of classes, and which files are read."""

from pathlib import Path

import pytest

from eomt.train_scripts.data.formats.source import Options
from eomt.train_scripts.data.formats.split import Split
from eomt.train_scripts.data.prepare_options import PrepareOptions, class_names


def test_many_class_names(tmp_path):
    names = [f"class {number}" for number in range(200)]
    assert class_names(",".join(names)) == names  # longer than the name of a file may be
    (tmp_path / "names.txt").write_bytes("\ufeffsky\nroad".encode())
    assert class_names(str(tmp_path / "names.txt")) == ["sky", "road"] and class_names("sky") == ["sky"]


def test_a_pair_of_folders_is_one_split(ten_photos):
    folder = ten_photos
    options = PrepareOptions("out", images=f"{folder}/images", annotations=f"{folder}/masks", split="more")
    assert options.splits() == [Split("more", "masks", folder / "images", folder / "masks")]
    named = PrepareOptions("out", images="a", annotations="b", format="yolo")
    assert named.splits() == [Split("train", "yolo", Path("a"), Path("b"))]


def test_a_source_is_all_of_its_splits(ten_photos):
    options = PrepareOptions("out", source=str(ten_photos), classes=["sky, road", "car"], void=[255], kind="semantic")
    assert options.splits() == [Split("train", "masks", ten_photos / "images", ten_photos / "masks")]
    assert options.format_options() == Options(["sky", "road", "car"], [], [255], "semantic", None)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "give either --source, or --images and --annotations"),
        ({"source": "a", "images": "b", "annotations": "c"}, "give either --source"),
        ({"annotations": "c"}, "give either --source"),
        ({"source": "a", "split": "val"}, "--split val: all splits of --source are prepared"),
        ({"source": "a", "classes": ["names.txt"]}, "names.txt: no such file. Give names with commas between"),
    ],
)
def test_what_would_be_ignored_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        PrepareOptions("out", **given)
