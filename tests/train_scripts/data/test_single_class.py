"""Semantic labels of one class and void are refused, whoever prepared them; others are not read to their end."""

import numpy as np
import pytest

from eomt.train_scripts.data import single_class
from eomt.train_scripts.data.dataset_folder import Labels, write_labels
from eomt.train_scripts.data.formats.segment_rows import encoded_ids
from eomt.train_scripts.data.formats.source import Options
from eomt.train_scripts.data.formats.split import Split
from eomt.train_scripts.data.preparation import prepare
from eomt.train_scripts.data.scenes import make_row
from eomt.train_scripts.data.shard_writer import write_split
from eomt.train_scripts.data.single_class import check_several_classes

NAMES_BACKGROUND = r"'cat' is the only class and 75 % is void.* call every pixel 'cat'\. .* --background NAME"


def write_cats(folder, covered: int, categories=(0, 0, 0), crowds=()):
    """Three images of one segment, in as many of 112 rows of pixels."""
    rows = []
    for index, category in enumerate(categories):
        ids = np.zeros((112, 112), np.int64)
        ids[:covered] = 1
        segments = [{"id": 1, "category": category, "iscrowd": index in crowds}]
        rows.append({**make_row(0, "train", index), "id_map": encoded_ids(ids), "segments": segments})
    folder.mkdir(exist_ok=True)
    write_labels(folder, Labels(["cat", "dog"], [True, True]))
    write_split(folder, "train", rows, len(rows))


def test_one_class_and_void(tmp_path):
    write_cats(tmp_path, 28)
    with pytest.raises(ValueError, match=f"{tmp_path}, split train: {NAMES_BACKGROUND}"):
        check_several_classes(tmp_path, "train")


def test_a_crowd_is_no_second_class(tmp_path):
    write_cats(tmp_path, 28, (0, 1, 0), crowds=[1])
    with pytest.raises(ValueError, match=NAMES_BACKGROUND):
        check_several_classes(tmp_path, "train")


def test_one_class_everywhere_and_two_classes(tmp_path, folder, monkeypatch):
    write_cats(tmp_path / "all", 112)
    check_several_classes(tmp_path / "all", "train")
    monkeypatch.setattr(single_class, "load_split", None)  # of two classes no pixel is read
    write_cats(tmp_path / "two", 28, (0, 0, 1))
    check_several_classes(tmp_path / "two", "train")
    check_several_classes(folder, "train")


def test_masks_of_one_class_and_void_are_not_prepared(ten_photos, put_mask):
    for number in range(10):
        put_mask(number, np.array([[0, 255, 255, 255], [0, 255, 255, 255]], np.uint8))
    split = Split("train", "masks", ten_photos / "images", ten_photos / "masks")
    options = Options(kind="semantic", classes=["cat"], void=[255])
    with pytest.raises(ValueError, match=f"train and val: {NAMES_BACKGROUND}"):
        prepare([split], ten_photos / "out", options, val_share=0.5)
    assert not list((ten_photos / "out").glob("*.parquet"))
    prepare([split], ten_photos / "out", options, val_share=0.5, background="street")
    check_several_classes(ten_photos / "out", "train")
