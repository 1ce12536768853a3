"""Label Studio's regions, brush strokes, names of files, and several annotations of a task."""

import json

import numpy as np
import pytest

from eomt.train_scripts.data.dataset_folder import read_labels
from eomt.train_scripts.data.formats.brush_strokes import decode_brush
from eomt.train_scripts.data.formats.detection import Split, find_splits
from eomt.train_scripts.data.preparation import prepare

SIZE = (20, 30)


def region(kind: str, label: str, **value) -> dict:
    entry = {"id": f"{kind}1", "type": f"{kind}labels", "original_width": 30, "original_height": 20}
    return {**entry, "value": {**value, f"{kind}labels": [label]}}


POLYGON = region("polygon", "cat", points=[[10, 10], [40, 10], [40, 70], [10, 70]])


@pytest.fixture
def export(photo, tmp_path):
    """`export(results, image="/data/upload/1/0a1b2c3d-pets.png", **task)`: the folder of a photo and of its json."""

    def write(results: list[dict], image: str = "/data/upload/1/0a1b2c3d-pets.png", **task):
        photo(tmp_path / "set" / "images" / "pets.png", SIZE)
        entry = {"id": 1, "data": {"image": image}, "annotations": [{"result": results}]} | task
        (tmp_path / "set" / "export.json").write_text(json.dumps([entry]))
        return tmp_path / "set"

    return write


def bits(number: int, length: int) -> list[int]:
    return [number >> shift & 1 for shift in reversed(range(length))]


def brush(mask: np.ndarray) -> list[int]:
    """The mask in Label Studio's run lengths: a block of equal bytes for each run, and the last pixel byte by byte."""
    values = np.repeat(mask.ravel() * 255, 4).tolist()
    code = bits(len(values), 32) + bits(7, 5) + bits(2, 4) + bits(3, 4) + bits(7, 4) + bits(15, 4)
    starts = [0, *(i for i in range(1, len(values) - 4) if values[i] != values[i - 1]), len(values) - 4]
    for start, end in zip(starts, starts[1:], strict=False):
        code += [1, *bits(3, 2), *bits(end - start - 1, 16), *bits(values[start], 8)]
    code += [0, *bits(0, 2), *bits(3, 3), *(bit for value in values[-4:] for bit in bits(value, 8))]
    code += [0] * (-len(code) % 8)
    return np.packbits(code).tolist()


def test_brush_strokes():
    mask = np.zeros(SIZE, np.uint8)
    mask[3:9, 5:12], mask[-1, -1] = 1, 1
    assert np.array_equal(decode_brush(brush(mask), SIZE), mask)
    with pytest.raises(ValueError, match="are of 600 pixels, not of 20 x 31"):
        decode_brush(brush(mask), (20, 31))
    with pytest.raises(ValueError, match="end too early"):
        decode_brush(brush(mask)[:20], SIZE)


def test_a_code_as_label_studio_writes_it():
    """An image of 1 x 2 pixels, of which the second is in the mask: 4 bytes of 0 and 4 of 255."""
    code = bits(8, 32) + bits(7, 5) + bits(2, 4) + bits(3, 4) + bits(7, 4) + bits(15, 4)
    code += [1, 0, 0, *bits(3, 3), *bits(0, 8)] + [1, 0, 0, *bits(3, 3), *bits(255, 8)]
    code += [0] * (-len(code) % 8)
    assert decode_brush(np.packbits(code).tolist(), (1, 2)).tolist() == [[0, 1]]


def test_each_kind_of_region(export, prepared, tmp_path):
    mask = np.zeros(SIZE, np.uint8)
    mask[15:18, 20:25] = 1
    results = [
        POLYGON,
        region("rectangle", "dog", x=60, y=10, width=20, height=30, rotation=0),
        region("ellipse", "dog", x=90, y=50, radiusX=8, radiusY=10),
        region("brush", "cow", format="rle", rle=brush(mask)),
        region("keypoint", "nose", x=5, y=5, width=0.5),
        {"type": "choices", "value": {"choices": ["good"]}},
    ]
    folder = export(results)
    assert find_splits(folder) == [Split("train", "label_studio", folder / "images", folder / "export.json")]
    [sample] = prepared("label_studio", folder / "images", folder / "export.json")
    assert sample.image_id == "pets" and read_labels(tmp_path / "out").names == ["cat", "dog", "cow"]
    areas = [int((sample.id_map == segment).sum()) for segment in sample.segment_ids.tolist()]
    assert areas[0] == 9 * 12 and areas[1] == 6 * 6 and areas[3] == 15
    assert areas[2] == pytest.approx(np.pi * 2.4 * 2, rel=0.2)
    repaired = json.loads((tmp_path / "out" / "train_report.json").read_text())["repaired"]
    assert sum(count for kind, count in repaired.items() if "has no area, were passed over" in kind) == 2


@pytest.mark.parametrize("image", ["/data/local-files/?d=images/pets.png", "s3://bucket/a/pets.png", "images\\pets.png"])
def test_names_of_files(export, prepared, image):
    folder = export([POLYGON], image)
    assert prepared("label_studio", folder / "images", folder / "export.json")[0].image_id == "pets"


def test_the_last_annotation_counts_and_labels_may_be_apart(export, tmp_path):
    apart = {"id": "a", "type": "polygon", "value": {"points": POLYGON["value"]["points"]}}
    label = {"id": "a", "type": "labels", "value": {"points": POLYGON["value"]["points"], "labels": ["dog"]}}
    entries = [
        {"result": [POLYGON], "updated_at": "2026-01-01"},
        {"result": [apart, label], "updated_at": "2026-01-02"},
        {"result": [], "updated_at": "2026-01-03", "was_cancelled": True},
    ]
    report = prepare(find_splits(export([], annotations=entries)), tmp_path / "out")["train"]
    assert report.segments == 1 and read_labels(tmp_path / "out").names == ["dog"]
    assert report.repaired == {"annotations of a task were passed over for a later one": 1}


def test_the_short_form(photo, prepared, tmp_path):
    photo(tmp_path / "images" / "pets.png", SIZE)
    value = {**POLYGON["value"], "original_width": 30, "original_height": 20}
    (tmp_path / "short.json").write_text(json.dumps([{"image": "/data/upload/1/pets.png", "id": 3, "label": [value]}]))
    [sample] = prepared("label_studio", tmp_path / "images", tmp_path / "short.json")
    assert int((sample.id_map > 0).sum()) == 9 * 12
