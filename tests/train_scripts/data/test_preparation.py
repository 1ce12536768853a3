"""From annotations to shards: bad images, interruptions and the report."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from eomt.train_scripts.data import preparation
from eomt.train_scripts.data.dataset_folder import count_rows, load_split, read_labels
from eomt.train_scripts.data.formats.detection import Split
from eomt.train_scripts.data.formats.source import Options
from eomt.train_scripts.data.preparation import prepare
from eomt.train_scripts.data.samples import BadSample
from eomt.train_scripts.data.shard_writer import SplitWriter
from eomt.train_scripts.data.split_report import SplitReport

MASK = np.array([[0, 0, 1, 255], [0, 1, 1, 255]], dtype=np.uint8)
OPTIONS = Options(kind="semantic", classes=["sky", "road"], void=[255])


@pytest.fixture
def folder(tmp_path):
    """Ten photos with masks."""
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for number in range(10):
        Image.fromarray(np.full((2, 4, 3), 20 * number, np.uint8)).save(tmp_path / "images" / f"{number}.png")
        put_mask(tmp_path, number, MASK)
    return tmp_path


def put_mask(folder, number: int, mask: np.ndarray) -> None:
    Image.fromarray(mask).save(folder / "masks" / f"{number}.png")


def run(folder, **options) -> SplitReport:
    split = Split("train", "masks", folder / "images", folder / "masks")
    return prepare([split], folder / "out", OPTIONS, rows_a_shard=3, **options)["train"]


def test_the_report_counts_what_is_there(folder):
    put_mask(folder, 4, np.full((2, 4), 1, np.uint8))
    report = run(folder)
    assert (report.images, report.segments, report.pixels, report.void_pixels) == (10, 19, 80, 18)
    assert report.class_images == {"0": 9, "1": 10} and report.class_pixels == {"0": 27, "1": 35}
    assert report.sizes == {"4 x 2": 10} and not report.skipped
    text = report.text("train", read_labels(folder / "out"))
    assert "train: 10 images, 19 segments (0 crowds; at most 2 in an image), 0 images without any" in text
    assert "sky     stuff         9         9     33.75" in text and "22.5 % void" in text
    assert SplitReport.load(folder / "out" / "train_report.json") == report
    picture = Image.open(folder / "out" / "train_samples.png")
    assert picture.width == 2 * 344 + 8 and picture.height > 10 * 168


def test_a_bad_image_stops_or_is_left_out_and_told(folder):
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
    ids, decode = [], preparation.decode_row

    def counted(row, *rest):
        ids.append(row["image_id"])
        return decode(row, *rest)

    monkeypatch.setattr(preparation, "decode_row", counted)
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


def test_a_deletion_moves_no_image_into_two_splits_or_none(folder):
    put_mask(folder, 4, np.full((2, 4), 9, np.uint8))
    with pytest.raises(BadSample):
        run(folder, val_share=0.5)  # 0, 2, 4, ... are to train on, in shards of three
    (folder / "images" / "4.png").unlink()
    (folder / "masks" / "4.png").unlink()
    run(folder, val_share=0.5)
    found = {name: [row["image_id"] for row in load_split(folder / "out", name)] for name in ("train", "val")}
    assert found == {"train": list("02579"), "val": list("1368")}


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


@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_run_that_is_cut_off_at_its_very_end_is_brought_to_it(folder, monkeypatch, at):
    replace, moved = os.replace, []

    def cut(source, target):
        if str(target).endswith(".parquet") and os.path.dirname(target) == str(folder / "out"):
            if len(moved) == at:
                raise KeyboardInterrupt
            moved.append(target)
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", cut)
        with pytest.raises(KeyboardInterrupt):
            run(folder, val_share=0.5)
    report = run(folder, val_share=0.5)
    assert report.images == 5 and count_rows(folder / "out", "val") == count_rows(folder / "out", "train") == 5
    assert (folder / "out" / "val_samples.png").is_file() and not list((folder / "out").glob(".*"))


def test_a_run_that_is_cut_off_between_its_splits_is_brought_to_its_end(folder, monkeypatch):
    seal, sealed = SplitWriter.seal, []

    def cut(self, splits):
        if sealed:
            raise KeyboardInterrupt
        sealed.append(self.split)
        seal(self, splits)

    with monkeypatch.context() as patch:
        patch.setattr(SplitWriter, "seal", cut)
        with pytest.raises(KeyboardInterrupt):
            run(folder, val_share=0.5)
    assert run(folder, val_share=0.5).images == count_rows(folder / "out", "val") == count_rows(folder / "out", "train") == 5


def test_files_without_a_partner_stop_it_or_are_left_out(folder):
    (folder / "masks" / "3.png").unlink()
    (folder / "images" / "8.png").unlink()
    with pytest.raises(BadSample, match="images/3.png has no file of the same stem in .*masks.* And 1 more"):
        run(folder)
    report = run(folder, bad_samples="skip")
    assert report.images == 8 and report.skipped == {"bad": 2} and "masks/8.png has no file" in report.skipped_named[1]


def test_two_folders_of_one_name(folder):
    split = Split("train", "masks", folder / "images", folder / "masks")
    with pytest.raises(ValueError, match=r"splits has the names \['train'\] more than once"):
        prepare([split, split], folder / "out", OPTIONS)


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


def test_a_later_split_that_fails_leaves_no_earlier_one(folder):
    (folder / "val").mkdir()
    put_mask(folder, 0, MASK)
    Image.fromarray(np.full((2, 4), 9, np.uint8)).save(folder / "val" / "0.png")
    (folder / "one").mkdir()
    Image.fromarray(np.zeros((2, 4, 3), np.uint8)).save(folder / "one" / "0.png")
    splits = [
        Split("train", "masks", folder / "images", folder / "masks"),
        Split("val", "masks", folder / "one", folder / "val"),
    ]
    with pytest.raises(BadSample):
        prepare(splits, folder / "out", OPTIONS)
    assert not [path for path in (folder / "out").iterdir() if path.name[0] != "."]
    Image.fromarray(MASK).save(folder / "val" / "0.png")
    assert {name: report.images for name, report in prepare(splits, folder / "out", OPTIONS).items()} == {"train": 10, "val": 1}


def test_bad_policies(folder):
    with pytest.raises(ValueError, match="bad_samples='ignore' is unknown; choose one of raise, skip"):
        run(folder, bad_samples="ignore")
    with pytest.raises(ValueError, match="empty='drop' is unknown; choose one of raise, skip, keep"):
        run(folder, empty="drop")
