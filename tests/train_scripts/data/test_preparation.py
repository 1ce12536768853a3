"""From annotations to a dataset: its splits, files without partners, and interruptions between writing and the end."""

import os

import numpy as np
import pytest
from PIL import Image

from eomt.train_scripts.data.dataset_folder import count_rows, load_split
from eomt.train_scripts.data.formats.detection import Split
from eomt.train_scripts.data.formats.source import Options
from eomt.train_scripts.data.preparation import prepare
from eomt.train_scripts.data.samples import BadSample
from eomt.train_scripts.data.shard_writer import SplitWriter
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


def test_a_deletion_moves_no_image_into_two_splits_or_none(folder):
    put_mask(folder, 4, np.full((2, 4), 9, np.uint8))
    with pytest.raises(BadSample):
        run(folder, val_share=0.5)  # 0, 2, 4, ... are to train on, in shards of three
    (folder / "images" / "4.png").unlink()
    (folder / "masks" / "4.png").unlink()
    run(folder, val_share=0.5)
    images = {name: [row["image_id"] for row in load_split(folder / "out", name)] for name in ("train", "val")}
    assert images == {"train": list("02579"), "val": list("1368")}


def cut_off_at_its_end(folder, monkeypatch, at: int, **options) -> None:
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
            run(folder, **options)


@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_run_that_is_cut_off_at_its_very_end_is_brought_to_it(folder, monkeypatch, at):
    cut_off_at_its_end(folder, monkeypatch, at, val_share=0.5)
    report = run(folder, val_share=0.5)
    assert report.images == 5 and count_rows(folder / "out", "val") == count_rows(folder / "out", "train") == 5
    assert (folder / "out" / "val_samples.png").is_file() and not list((folder / "out").glob(".*"))


@pytest.mark.parametrize("at", [0, 2])
def test_what_a_run_with_other_arguments_has_left_is_not_taken_for_this_ones(folder, monkeypatch, at):
    put_mask(folder, 4, np.full((2, 4), 255, np.uint8))
    cut_off_at_its_end(folder, monkeypatch, at, empty="keep")
    with pytest.raises(ValueError, match="out has a split 'train' already. Remove its shards or choose another folder"):
        run(folder, empty="skip")
    assert count_rows(folder / "out", "train") == 10


def test_a_run_that_is_cut_off_between_its_splits_is_brought_to_its_end(folder, monkeypatch):
    seal, sealed = SplitWriter.seal, []

    def cut(self, plans):
        if sealed:
            raise KeyboardInterrupt
        sealed.append(self.split)
        seal(self, plans)

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
