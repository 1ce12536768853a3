"""The shards of one split: bad and empty images, and what an interrupted run has left."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from eomt.train_scripts.data import split_preparation
from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.dataset_folder import count_rows, load_split, read_labels
from eomt.train_scripts.data.formats.split import Split
from eomt.train_scripts.data.preparation import prepare

MASK = np.array([[0, 0, 1, 255], [0, 1, 1, 255]], dtype=np.uint8)


def test_a_bad_image_stops_or_is_left_out_and_reported(ten_photos, put_mask, prepare_photos):
    (ten_photos / "images" / "7.png").write_bytes((ten_photos / "images" / "7.png").read_bytes()[:40])
    put_mask(2, np.full((2, 4), 9, np.uint8))
    with pytest.raises(BadSample, match=r"masks/2.png has the values \[9\]"):
        prepare_photos()
    report = prepare_photos(bad_samples="skip")
    assert report.images == 8 == count_rows(ten_photos / "out", "train") and report.skipped == {"bad": 2}
    assert "2.png has the values [9]" in report.skipped_named[0] and "7.png" in report.skipped_named[1]
    assert [row["image_id"] for row in load_split(ten_photos / "out", "train")] == list("01345689")
    assert "left out: 2 bad" in report.text("train", read_labels(ten_photos / "out"))


@pytest.mark.parametrize("policy", ["raise", "skip", "keep"])
def test_images_without_segments(put_mask, prepare_photos, policy):
    put_mask(5, np.full((2, 4), 255, np.uint8))
    if policy == "raise":
        with pytest.raises(BadSample, match="5.png and .*5.png has no segment. Mend the annotations"):
            prepare_photos()
        return
    report = prepare_photos(empty=policy)
    assert (report.images, report.without_segments, report.skipped) == (
        (10, 1, {}) if policy == "keep" else (9, 0, {"no segment": 1})
    )


def test_nothing_but_crowd_is_as_nothing(ten_photos, tmp_path):
    table = [{"id": 1, "category_id": 1, "iscrowd": 1}]
    (tmp_path / "coco").mkdir()
    Image.fromarray(np.full((2, 4, 3), (1, 0, 0), np.uint8)).save(tmp_path / "coco" / "0.png")
    content = {
        "images": [{"id": 0, "file_name": "0.png"}],
        "annotations": [{"image_id": 0, "file_name": "0.png", "segments_info": table}],
        "categories": [{"id": 1, "name": "bee", "isthing": 1}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(content))
    splits = [Split("train", "coco_panoptic", ten_photos / "images", tmp_path / "coco.json")]
    with pytest.raises(BadSample, match="has nothing but crowd"):
        prepare(splits, tmp_path / "bees")
    assert prepare(splits, tmp_path / "bees", empty="keep")["train"].crowds == 1


def test_a_split_with_nothing_left_is_an_error(put_mask, prepare_photos):
    for number in range(10):
        put_mask(number, np.full((2, 4), 7, np.uint8))
    with pytest.raises(ValueError, match="no image that can be used; 10 were left out, the first for: .*0.png has the values"):
        prepare_photos(bad_samples="skip")


def test_a_shard_of_nothing_but_bad_images(ten_photos, put_mask, prepare_photos):
    for number in range(3, 6):
        put_mask(number, np.full((2, 4), 7, np.uint8))
    assert prepare_photos(bad_samples="skip").images == 7
    assert [row["image_id"] for row in load_split(ten_photos / "out", "train")] == list("0126789")


@pytest.fixture
def made(monkeypatch) -> list[str]:
    """The ids of the images that are read from now on."""
    ids, decode = [], split_preparation.decode_row

    def counted(row, *rest):
        ids.append(row["image_id"])
        return decode(row, *rest)

    monkeypatch.setattr(split_preparation, "decode_row", counted)
    return ids


def test_an_interrupted_run_goes_on(ten_photos, put_mask, prepare_photos, made):
    put_mask(7, np.full((2, 4), 9, np.uint8))
    with pytest.raises(BadSample):
        prepare_photos()
    assert not list((ten_photos / "out").glob("*.parquet")) and not (ten_photos / "out" / "labels.json").exists()
    assert made == list("0123456")
    made.clear()
    put_mask(7, MASK)
    report = prepare_photos()
    assert made[:4] == list("6789") and report.images == 10  # two shards of three were there; then the picture
    assert [row["image_id"] for row in load_split(ten_photos / "out", "train")] == list("0123456789")
    assert not list((ten_photos / "out").glob(".*"))


def test_other_categories_in_the_json_are_read_again(ten_photos, tmp_path):
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
    splits = [Split("train", "coco_panoptic", ten_photos / "images", tmp_path / "coco.json")]
    with pytest.raises(BadSample, match="category_id 7 is not in the json's categories"):
        prepare(splits, tmp_path / "bees", rows_a_shard=3)
    content["categories"].insert(0, {"id": 7, "name": "ant", "isthing": 1})
    (tmp_path / "coco.json").write_text(json.dumps(content))
    prepare(splits, tmp_path / "bees", rows_a_shard=3)
    assert [row["segments"][0]["category"] for row in load_split(tmp_path / "bees", "train")] == [1, 1, 1, 0]


@pytest.mark.parametrize("change", ["policy", "mask"])
def test_what_changed_since_is_read_again(ten_photos, put_mask, prepare_photos, made, change):
    put_mask(7, np.full((2, 4), 9, np.uint8))
    with pytest.raises(BadSample):
        prepare_photos()
    made.clear()
    if change == "mask":
        put_mask(1, MASK.T.reshape(2, 4))
        os.utime(ten_photos / "masks" / "1.png")
        with pytest.raises(BadSample):
            prepare_photos()
        assert made == list("0126")
    else:
        prepare_photos(bad_samples="skip")
        assert made[:9] == list("012345689")
