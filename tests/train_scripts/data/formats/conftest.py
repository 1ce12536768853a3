"""What tests of the readers share: small photos and index images, and a split's samples as prepared."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eomt.train_scripts.data.dataset_folder import load_split, read_labels
from eomt.train_scripts.data.formats.source import Options
from eomt.train_scripts.data.formats.split import Split
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


@pytest.fixture
def instances_json() -> Callable[..., dict]:
    """`instances_json(polygons, **changes)`: COCO's annotations of one photo of 20 x 30 pixels, cats and dogs by turns."""

    def build(polygons: list[list[float]], **changes) -> dict:
        annotations = [
            {"id": index, "image_id": 7, "category_id": 3 + index % 2, "segmentation": [polygon], "iscrowd": 0}
            for index, polygon in enumerate(polygons)
        ]
        categories = [{"id": 3, "name": "cat"}, {"id": 4, "name": "dog"}]
        image = {"id": 7, "file_name": "pets.png", "height": 20, "width": 30}
        return {"images": [image], "annotations": annotations, "categories": categories} | changes

    return build


@pytest.fixture
def via_json() -> Callable[..., dict]:
    """`via_json(polygons, attributes=("cat", "dog"))`: VIA's annotations of one photo, with these values by turns."""

    def build(polygons: list[list[float]], attributes: tuple[str, ...] | None = ("cat", "dog")) -> dict:
        regions = [
            {
                "shape_attributes": {"name": "polygon", "all_points_x": polygon[::2], "all_points_y": polygon[1::2]},
                "region_attributes": {"animal": attributes[index % 2]} if attributes else {},
            }
            for index, polygon in enumerate(polygons)
        ]
        return {"pets.png123": {"filename": "pets.png", "size": 123, "regions": regions, "file_attributes": {}}}

    return build
