"""From annotations to a dataset: its splits, files without partners, and interruptions between writing and the end."""

import os

import numpy as np
import pytest
from PIL import Image

from eomt.train_scripts.data import preparation
from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.dataset_folder import count_rows, load_split
from eomt.train_scripts.data.formats.source import Options
from eomt.train_scripts.data.formats.split import Split
from eomt.train_scripts.data.preparation import prepare
from eomt.train_scripts.data.shard_writer import SplitWriter

MASK = np.array([[0, 0, 1, 255], [0, 1, 1, 255]], dtype=np.uint8)
OPTIONS = Options(kind="semantic", classes=["sky", "road"], void=[255])


def test_a_deletion_moves_no_image_into_two_splits_or_none(ten_photos, put_mask, prepare_photos):
    put_mask(4, np.full((2, 4), 9, np.uint8))
    with pytest.raises(BadSample):
        prepare_photos(val_share=0.5)  # 0, 2, 4, ... are to train on, in shards of three
    (ten_photos / "images" / "4.png").unlink()
    (ten_photos / "masks" / "4.png").unlink()
    prepare_photos(val_share=0.5)
    images = {name: [row["image_id"] for row in load_split(ten_photos / "out", name)] for name in ("train", "val")}
    assert images == {"train": list("02579"), "val": list("1368")}


def cut_off_at_its_end(run, folder, monkeypatch, at: int, **options) -> None:
    """A run that is interrupted after it has moved `at` of its shards."""
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
            run(**options)


@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_run_that_is_cut_off_at_its_very_end_is_brought_to_it(ten_photos, prepare_photos, monkeypatch, at):
    cut_off_at_its_end(prepare_photos, ten_photos, monkeypatch, at, val_share=0.5)
    report = prepare_photos(val_share=0.5)
    assert report.images == 5 and count_rows(ten_photos / "out", "val") == count_rows(ten_photos / "out", "train") == 5
    assert (ten_photos / "out" / "val_samples.png").is_file() and not list((ten_photos / "out").glob(".*"))


def test_a_run_that_is_cut_off_while_it_draws_its_picture_goes_on(ten_photos, prepare_photos, monkeypatch):
    def cut(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(preparation, "draw_samples", cut)
        with pytest.raises(KeyboardInterrupt):
            prepare_photos()
    assert not [path for path in (ten_photos / "out").iterdir() if path.name[0] != "."]
    assert prepare_photos().images == 10 and (ten_photos / "out" / "train_samples.png").is_file()


@pytest.mark.parametrize("at", [0, 2])
def test_what_a_run_with_other_arguments_has_left_is_not_taken_for_this_ones(ten_photos, put_mask, prepare_photos, monkeypatch, at):
    put_mask(4, np.full((2, 4), 255, np.uint8))
    cut_off_at_its_end(prepare_photos, ten_photos, monkeypatch, at, empty="keep")
    with pytest.raises(ValueError, match="out has a split 'train' already. Remove its shards or choose another folder"):
        prepare_photos(empty="skip")
    assert count_rows(ten_photos / "out", "train") == 10


def test_a_run_that_is_cut_off_between_its_splits_is_brought_to_its_end(ten_photos, prepare_photos, monkeypatch):
    seal, sealed = SplitWriter.seal, []

    def cut(self, plans):
        if sealed:
            raise KeyboardInterrupt
        sealed.append(self.split)
        seal(self, plans)

    with monkeypatch.context() as patch:
        patch.setattr(SplitWriter, "seal", cut)
        with pytest.raises(KeyboardInterrupt):
            prepare_photos(val_share=0.5)
    assert (
        prepare_photos(val_share=0.5).images
        == count_rows(ten_photos / "out", "val")
        == count_rows(ten_photos / "out", "train")
        == 5
    )


def test_files_without_a_partner_stop_it_or_are_left_out(ten_photos, prepare_photos):
    (ten_photos / "masks" / "3.png").unlink()
    (ten_photos / "images" / "8.png").unlink()
    with pytest.raises(BadSample, match="images/3.png has no mask of the same stem in .*masks.* And 1 more"):
        prepare_photos()
    report = prepare_photos(bad_samples="skip")
    assert report.images == 8 and report.skipped == {"bad": 2} and "masks/8.png has no image" in report.skipped_named[1]


def test_two_folders_of_one_name(ten_photos):
    split = Split("train", "masks", ten_photos / "images", ten_photos / "masks")
    with pytest.raises(ValueError, match=r"splits has the names \['train'\] more than once"):
        prepare([split, split], ten_photos / "out", OPTIONS)


def test_an_image_of_two_splits(ten_photos):
    split = Split("train", "masks", ten_photos / "images", ten_photos / "masks")
    others = ten_photos / "others"
    others.symlink_to(ten_photos / "images")
    with pytest.raises(ValueError, match="the image .*/0.png is in two splits, 'train' with the annotations .*/masks and 'val'"):
        prepare([split, Split("val", "masks", others, ten_photos / "masks")], ten_photos / "out", OPTIONS)
    assert not (ten_photos / "out").exists()


def test_a_later_split_that_fails_leaves_no_earlier_one(ten_photos, put_mask):
    (ten_photos / "val").mkdir()
    put_mask(0, MASK)
    Image.fromarray(np.full((2, 4), 9, np.uint8)).save(ten_photos / "val" / "0.png")
    (ten_photos / "one").mkdir()
    Image.fromarray(np.zeros((2, 4, 3), np.uint8)).save(ten_photos / "one" / "0.png")
    splits = [
        Split("train", "masks", ten_photos / "images", ten_photos / "masks"),
        Split("val", "masks", ten_photos / "one", ten_photos / "val"),
    ]
    with pytest.raises(BadSample):
        prepare(splits, ten_photos / "out", OPTIONS)
    assert not [path for path in (ten_photos / "out").iterdir() if path.name[0] != "."]
    Image.fromarray(MASK).save(ten_photos / "val" / "0.png")
    assert {name: report.images for name, report in prepare(splits, ten_photos / "out", OPTIONS).items()} == {"train": 10, "val": 1}


def test_bad_policies(prepare_photos):
    with pytest.raises(ValueError, match="bad_samples='ignore' is unknown; choose one of raise, skip"):
        prepare_photos(bad_samples="ignore")
    with pytest.raises(ValueError, match="empty='drop' is unknown; choose one of raise, skip, keep"):
        prepare_photos(empty="drop")
