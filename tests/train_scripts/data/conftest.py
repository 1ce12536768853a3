"""Small datasets of scenes that streams are tried on."""

import pytest

from eomt.train_scripts.data import scenes
from eomt.train_scripts.data.dataset_folder import write_labels
from eomt.train_scripts.data.shard_writer import write_split

ROWS = 50


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    write_labels(folder, scenes.LABELS)
    write_split(folder, "train", (scenes.make_row(0, "train", index) for index in range(ROWS)), ROWS, rows_a_shard=20)
    write_split(folder, "few", (scenes.make_row(0, "val", index) for index in range(2)), 2)
    return folder


@pytest.fixture
def partly_bad(tmp_path):
    """Six scenes, of which the second has a truncated photo and the fifth an id that its table lacks."""
    rows = [scenes.make_row(0, "train", index) for index in range(6)]
    rows[1]["image"]["bytes"] = rows[1]["image"]["bytes"][:500]
    rows[4]["segments"].pop()
    write_labels(tmp_path, scenes.LABELS)
    write_split(tmp_path, "train", rows, 6)
    return tmp_path
