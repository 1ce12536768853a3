"""What tests of the readers share: small photos and index images, and a split's samples as prepared."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eomt.train_scripts.data.dataset_folder import load_split, read_labels
from eomt.train_scripts.data.formats.detection import Split
from eomt.train_scripts.data.formats.source import Options
from eomt.train_scripts.data.preparation import prepare
from eomt.train_scripts.data.samples import Sample, decode_row


@pytest.fixture
def photo() -> Callable[..., Path]:
    """`photo(path, size=(20, 30))`: writes a grey photo of height and width."""

    def write(path: Path, size: tuple[int, int] = (20, 30), **options) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((*size, 3), 120, np.uint8)).save(path, **options)
        return path

    return write


@pytest.fixture
def index_image() -> Callable[[Path, np.ndarray], Path]:
    """`index_image(path, values)`."""

    def write(path: Path, values: np.ndarray) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values.astype(np.uint8)).save(path)
        return path

    return write


@pytest.fixture
def prepared(tmp_path) -> Callable[..., list[Sample]]:
    """`prepared(format, images, annotations, options, **policies)`: the samples of such a split, in order."""

    def run(form: str, images: Path, annotations: Path, options: Options | None = None, **policies) -> list[Sample]:
        out = tmp_path / "out"
        prepare([Split("train", form, images, annotations)], out, options, **policies)
        return [decode_row(row, len(read_labels(out)), "here") for row in load_split(out, "train")]

    return run
