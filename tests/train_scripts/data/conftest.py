"""Small datasets that streams are tried on, and small photos that are prepared."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eomt.train_scripts.data import scenes
from eomt.train_scripts.data.dataset_folder import write_labels
from eomt.train_scripts.data.formats.source import Options
from eomt.train_scripts.data.formats.split import Split
from eomt.train_scripts.data.preparation import prepare
from eomt.train_scripts.data.shard_writer import write_split
from eomt.train_scripts.data.split_report import SplitReport

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


@pytest.fixture
def ten_photos(tmp_path) -> Path:
    """A folder with ten photos in `images`, and in `masks` for each the same mask of two classes and void."""
    mask = np.array([[0, 0, 1, 255], [0, 1, 1, 255]], dtype=np.uint8)
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for number in range(10):
        Image.fromarray(np.full((2, 4, 3), 20 * number, np.uint8)).save(tmp_path / "images" / f"{number}.png")
        Image.fromarray(mask).save(tmp_path / "masks" / f"{number}.png")
    return tmp_path


@pytest.fixture
def put_mask(ten_photos) -> Callable[[int, np.ndarray], None]:
    """`put_mask(number, mask)`: another mask for one of the ten photos."""
    return lambda number, mask: Image.fromarray(mask).save(ten_photos / "masks" / f"{number}.png")


@pytest.fixture
def prepare_photos(ten_photos) -> Callable[..., SplitReport]:
    """`prepare_photos(**options)`: the ten photos as a split `train` in `out`, in shards of three; 9 is no value of a mask."""

    def run(**options) -> SplitReport:
        split = Split("train", "masks", ten_photos / "images", ten_photos / "masks")
        kinds = Options(kind="semantic", classes=["sky", "road"], void=[255])
        return prepare([split], ten_photos / "out", kinds, rows_a_shard=3, **options)["train"]

    return run
