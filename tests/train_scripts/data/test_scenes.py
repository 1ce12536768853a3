"""The demo's scenes: exact labels, held-out textures, reproducible, never half-written."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from eomt.train_scripts.data import scenes
from eomt.train_scripts.data.dataset_folder import count_rows, load_split, read_labels
from eomt.train_scripts.data.formats.detection import find_splits
from eomt.train_scripts.data.formats.source import Options
from eomt.train_scripts.data.preparation import prepare
from eomt.train_scripts.data.samples import decode_row


@pytest.fixture
def in_this_process(monkeypatch):
    """Makes rows without a pool, which takes longer to start than few rows take."""

    def rows(seed: int, split: str, count: int) -> Iterator[dict]:
        return (scenes.make_row(seed, split, index) for index in range(count))

    monkeypatch.setattr(scenes, "make_rows", rows)


@pytest.mark.parametrize("held_out", [False, True])
def test_segments_are_numbered_large_enough_and_of_the_right_kinds(held_out):
    for seed in range(60):
        image, ids, classes = scenes.make_scene(np.random.default_rng(seed), held_out)
        areas = np.bincount(ids.ravel(), minlength=len(classes) + 1)[1:]
        assert image.shape == (112, 112, 3) and ids.shape == (112, 112) and image.dtype == ids.dtype == np.uint8
        assert len(areas) == len(classes) and areas.min() >= scenes.MIN_SEGMENT
        things = [label for label in classes if scenes.LABELS.isthing[label]]
        stuff = [label for label in classes if not scenes.LABELS.isthing[label]]
        assert len(things) <= 5 and len(stuff) <= 2 and len(set(stuff)) == len(stuff)
        assert all(0 <= label < len(scenes.LABELS) for label in classes)


def test_labels_lie_where_the_sprites_are(monkeypatch):
    """Over black textures every lit pixel is a sprite's."""
    monkeypatch.setattr(scenes, "textures", lambda: [np.zeros((512, 512, 3), np.uint8)] * len(scenes.STUFF))
    for seed in range(20):
        image, ids, classes = scenes.make_scene(np.random.default_rng(seed), False)
        sprite_ids = [index + 1 for index, label in enumerate(classes) if scenes.LABELS.isthing[label]]
        on_sprite = np.isin(ids, sprite_ids)
        bright = image.max(-1) > 140  # more than half of any sprite's outer colour
        assert (bright & ~on_sprite & (ids != 0)).mean() < 0.005
        assert image.max(-1)[on_sprite].mean() > 100


def test_validation_textures_are_unseen(monkeypatch):
    columns = np.broadcast_to((np.arange(600) >= 450).astype(np.uint8)[None, :, None] * 200, (400, 600, 3))
    monkeypatch.setattr(scenes, "_lit", lambda pixels, factor: pixels)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        assert scenes.texture_window(columns, rng, held_out=False).max() == 0
        assert scenes.texture_window(columns, rng, held_out=True).min() == 200


def test_a_row_depends_on_its_arguments_alone():
    assert scenes.make_row(3, "val", 7) == scenes.make_row(3, "val", 7)
    assert scenes.make_row(3, "val", 7)["image"] != scenes.make_row(4, "val", 7)["image"]
    assert scenes.make_row(3, "val", 7)["image"] != scenes.make_row(3, "train", 7)["image"]


def test_rows_of_processes_are_those_of_one():
    assert list(scenes.make_rows(0, "train", 3)) == [scenes.make_row(0, "train", index) for index in range(3)]


def test_written_scenes_decode_to_what_was_drawn(tmp_path, in_this_process):
    scenes.write_scenes(tmp_path / "out", train=5, val=3, seed=1)
    assert (count_rows(tmp_path / "out", "train"), count_rows(tmp_path / "out", "val")) == (5, 3)
    assert read_labels(tmp_path / "out") == scenes.LABELS
    for index, row in enumerate(load_split(tmp_path / "out", "val")):
        sample = decode_row(row, len(scenes.LABELS), "val")
        image, ids, classes = scenes.make_scene(np.random.default_rng([1, 1, index]), True)
        assert np.array_equal(sample.image.permute(1, 2, 0), image) and np.array_equal(sample.id_map, ids)
        assert sample.class_labels.tolist() == classes and sample.segment_ids.tolist() == list(range(1, len(classes) + 1))


def test_the_same_scenes_are_not_written_again_and_others_never_over_them(tmp_path, in_this_process, monkeypatch):
    scenes.write_scenes(tmp_path / "out", train=2, val=1)
    monkeypatch.setattr(scenes, "make_rows", None)  # calling it would fail
    scenes.write_scenes(tmp_path / "out", train=2, val=1)
    with pytest.raises(ValueError, match="holds something else"):
        scenes.write_scenes(tmp_path / "out", train=3, val=1)
    with pytest.raises(ValueError, match="train=0"):
        scenes.write_scenes(tmp_path / "other", train=0, val=1)


def test_an_interruption_leaves_no_dataset(tmp_path, monkeypatch):
    def broken(seed: int, split: str, count: int) -> Iterator[dict]:
        yield scenes.make_row(seed, split, 0)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(scenes, "make_rows", broken)
        with pytest.raises(KeyboardInterrupt):
            scenes.write_scenes(tmp_path / "out", train=2, val=1)
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(scenes, "make_rows", lambda seed, split, n: (scenes.make_row(seed, split, i) for i in range(n)))
    scenes.write_scenes(tmp_path / "out", train=2, val=1)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_every_sprite_is_there_and_credited():
    folder = scenes.Path(scenes.__file__).parents[1] / "sprites"
    files = {path.stem for path in folder.glob("*.png")}
    assert files == {name for names in scenes.THINGS.values() for name in names}
    assert sum(path.stat().st_size for path in folder.glob("*.png")) < 300_000
    assert "Kenney" in (folder / "README.md").read_text()


def test_folders_of_images_and_masks_hold_the_same_scenes(tmp_path, in_this_process):
    scenes.write_folders(tmp_path / "walk", 3)
    reports = prepare(
        find_splits(tmp_path / "walk"), tmp_path / "out", Options(kind="semantic", classes=scenes.LABELS.names, void=[255])
    )
    assert (tmp_path / "walk" / "classes.txt").read_text().split() == scenes.LABELS.names and reports["train"].images == 3
    for index, stored in enumerate(load_split(tmp_path / "out", "train")):
        own, scene = (decode_row(row, 14, "here") for row in (stored, scenes.make_row(0, "train", index)))
        assert torch.equal(own.image, scene.image) and torch.equal(own.id_map > 0, scene.id_map > 0)
    with pytest.raises(ValueError, match="folders=.*walk exists"):
        scenes.write_folders(tmp_path / "walk", 3)
