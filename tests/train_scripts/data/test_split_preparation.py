"""The shards of one split: bad and empty images, and what an interrupted run has left."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from eomt.train_scripts.data import split_preparation
from eomt.train_scripts.data.dataset_folder import count_rows, load_split, read_labels
from eomt.train_scripts.data.formats.detection import Split
from eomt.train_scripts.data.formats.source import Options
from eomt.train_scripts.data.preparation import prepare
from eomt.train_scripts.data.samples import BadSample
from eomt.train_scripts.data.split_report import SplitReport

MASK = np.array([[0, 0, 1, 255], [0, 1, 1, 255]], dtype=np.uint8)
OPTIONS = Options(kind="semantic", classes=["sky", "road"], void=[255])


@pytest.fixture
def folder(ten_photos):
    return ten_photos


def put_mask(folder, number: int, mask: np.ndarray) -> None:
    Image.fromarray(mask).save(folder / "masks" / f"{number}.png")


def run(folder, **options) -> SplitReport:
    split = Split("train", "masks", folder / "images", folder / "masks")
    return prepare([split], folder / "out", OPTIONS, rows_a_shard=3, **options)["train"]


def test_a_bad_image_stops_or_is_left_out_and_reported(folder):
    (folder / "images" / "7.png").write_bytes((folder / "images" / "7.png").read_bytes()[:40])
    put_mask(folder, 2, np.full((2, 4), 9, np.uint8))
    with pytest.raises(BadSample, match=r"masks/2.png has the values \[9\]"):
        run(folder)
    report = run(folder, bad_samples="skip")
    assert report.images == 8 == count_rows(folder / "out", "train") and report.skipped == {"bad": 2}
    assert "2.png has the values [9]" in report.skipped_named[0] and "7.png" in report.skipped_named[1]
    assert [row["image_id"] for row in load_split(folder / "out", "train")] == list("01345689")
    assert "left out: 2 bad" in report.text("train", read_labels(folder / "out"))


@pytest.mark.parametrize("policy", ["raise", "skip", "keep"])
def test_images_without_segments(folder, policy):
    put_mask(folder, 5, np.full((2, 4), 255, np.uint8))
    if policy == "raise":
        with pytest.raises(BadSample, match="5.png and .*5.png has no segment. Mend the annotations"):
            run(folder)
        return
    report = run(folder, empty=policy)
    assert (report.images, report.without_segments, report.skipped) == (
        (10, 1, {}) if policy == "keep" else (9, 0, {"no segment": 1})
    )


def test_nothing_but_crowd_is_as_nothing(tmp_path, folder):
    table = [{"id": 1, "category_id": 1, "iscrowd": 1}]
    (tmp_path / "coco").mkdir()
    Image.fromarray(np.full((2, 4, 3), (1, 0, 0), np.uint8)).save(tmp_path / "coco" / "0.png")
    content = {
        "images": [{"id": 0, "file_name": "0.png"}],
        "annotations": [{"image_id": 0, "file_name": "0.png", "segments_info": table}],
        "categories": [{"id": 1, "name": "bee", "isthing": 1}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(content))
    splits = [Split("train", "coco_panoptic", folder / "images", tmp_path / "coco.json")]
    with pytest.raises(BadSample, match="has nothing but crowd"):
        prepare(splits, tmp_path / "bees")
    assert prepare(splits, tmp_path / "bees", empty="keep")["train"].crowds == 1


def test_a_split_with_nothing_left_is_an_error(folder):
    for number in range(10):
        put_mask(folder, number, np.full((2, 4), 7, np.uint8))
    with pytest.raises(ValueError, match="no image that can be used; 10 were left out, the first for: .*0.png has the values"):
        run(folder, bad_samples="skip")


def test_a_shard_of_nothing_but_bad_images(folder):
    for number in range(3, 6):
        put_mask(folder, number, np.full((2, 4), 7, np.uint8))
    assert run(folder, bad_samples="skip").images == 7
    assert [row["image_id"] for row in load_split(folder / "out", "train")] == list("0126789")


@pytest.fixture
def made(monkeypatch) -> list[str]:
    """The ids of the images that are read from now on."""
    ids, decode = [], split_preparation.decode_row

    def counted(row, *rest):
        ids.append(row["image_id"])
        return decode(row, *rest)

    monkeypatch.setattr(split_preparation, "decode_row", counted)
    return ids


def test_an_interrupted_run_goes_on(folder, made):
    put_mask(folder, 7, np.full((2, 4), 9, np.uint8))
    with pytest.raises(BadSample):
        run(folder)
    assert not list((folder / "out").glob("*.parquet")) and not (folder / "out" / "labels.json").exists()
    assert made == list("0123456")
    made.clear()
    put_mask(folder, 7, MASK)
    report = run(folder)
    assert made[:4] == list("6789") and report.images == 10  # two shards of three were there; then the picture
    assert [row["image_id"] for row in load_split(folder / "out", "train")] == list("0123456789")
    assert not list((folder / "out").glob(".*"))


def test_other_categories_in_the_json_are_read_again(tmp_path, folder):
    (tmp_path / "coco").mkdir()
    annotations = []
    for number in range(4):
        Image.fromarray(np.full((2, 4, 3), (1, 0, 0), np.uint8)).save(tmp_path / "coco" / f"{number}.png")
        table = [{"id": 1, "category_id": 7 if number == 3 else 1}]
        annotations.append({"image_id": number, "file_name": f"{number}.png", "segments_info": table})
    categories = [{"id": 1, "name": "bee", "isthing": 1}]
    content = {
        "images": [{"id": i, "file_name": f"{i}.png"} for i in range(4)],
        "annotations": annotations,
        "categories": categories,
    }
    (tmp_path / "coco.json").write_text(json.dumps(content))
    splits = [Split("train", "coco_panoptic", folder / "images", tmp_path / "coco.json")]
    with pytest.raises(BadSample, match="category_id 7 is not in the json's categories"):
        prepare(splits, tmp_path / "bees", rows_a_shard=3)
    content["categories"].insert(0, {"id": 7, "name": "ant", "isthing": 1})
    (tmp_path / "coco.json").write_text(json.dumps(content))
    prepare(splits, tmp_path / "bees", rows_a_shard=3)
    assert [row["segments"][0]["category"] for row in load_split(tmp_path / "bees", "train")] == [1, 1, 1, 0]


@pytest.mark.parametrize("change", ["policy", "mask"])
def test_what_changed_since_is_read_again(folder, made, change):
    put_mask(folder, 7, np.full((2, 4), 9, np.uint8))
    with pytest.raises(BadSample):
        run(folder)
    made.clear()
    if change == "mask":
        put_mask(folder, 1, MASK.T.reshape(2, 4))
        os.utime(folder / "masks" / "1.png")
        with pytest.raises(BadSample):
            run(folder)
        assert made == list("0126")
    else:
        run(folder, bad_samples="skip")
        assert made[:9] == list("012345689")
