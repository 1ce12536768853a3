"""The picture of a split: images spread over it, beside their segments."""

import numpy as np
from PIL import Image

from eomt.train_scripts.data import samples_picture, scenes
from eomt.train_scripts.data.samples_picture import draw_samples
from eomt.train_scripts.data.shard_writer import write_split


def drawn_rows(folder, split: str, images: int, monkeypatch) -> list:
    rows = []
    with monkeypatch.context() as patch:
        patch.setattr(samples_picture, "picture_grid", lambda grid, *rest, **options: rows.extend(grid))
        draw_samples(folder, split, scenes.LABELS, images)
    return rows


def test_images_are_spread_over_the_split(folder, monkeypatch):
    rows = drawn_rows(folder, "train", 5, monkeypatch)
    assert len(rows) == 5
    for row, index in zip(rows, (0, 10, 20, 30, 40), strict=True):
        image, ids, classes = scenes.make_scene(np.random.default_rng([0, 0, index]), held_out=False)
        assert np.array_equal(row.image.permute(1, 2, 0), image) and np.array_equal(row.truth.id_map, ids)
        assert row.truth.classes == dict(enumerate(classes, 1))


def test_a_small_split_is_drawn_whole(folder, monkeypatch):
    assert len(drawn_rows(folder, "few", 12, monkeypatch)) == 2


def test_the_picture_lies_beside_the_shards(tmp_path):
    write_split(tmp_path, "val", [scenes.make_row(0, "val", 0)], 1)
    draw_samples(tmp_path, "val", scenes.LABELS)
    with Image.open(tmp_path / "val_samples.png") as picture:
        assert picture.width > 2 * 112 and picture.height > 112
