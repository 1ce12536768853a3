"""Encodings of label images: which one it is, and what each becomes."""

import io

import numpy as np
import pytest
from PIL import Image

from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.formats.class_values import class_values
from eomt.train_scripts.data.formats.label_images import LabelImage, detect_kind, label_columns, read_label, segment_table

NAMES = {0: "background", 1: "cat", 2: "dog"}
CLASSES = class_values(NAMES, [255], ["background"])
GREY = np.array([[0, 1], [2, 255]], np.uint8)
NUMBERED = np.array([[[0, 0, 0], [1, 5, 0]], [[1, 6, 0], [2, 7, 0]]], np.uint8)  # red is the class, green the number
IDS = np.array([[[0, 0, 0], [9, 0, 0]], [[0, 9, 0], [0, 0, 9]]], np.uint8)
TABLE = [{"id": 9, "category_id": 1}, {"id": 9 << 8, "category_id": 1, "iscrowd": 1}, {"id": 9 << 16, "category_id": 2}]


def encoded(pixels: np.ndarray, form: str = "PNG", **options) -> dict:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form, **options)
    return {"bytes": stream.getvalue(), "path": None}


def label(pixels: np.ndarray) -> LabelImage:
    return read_label(encoded(pixels), "here")


def columns(pixels: np.ndarray, kind: str, table=(), classes=CLASSES) -> tuple[list[tuple[int, bool]], list]:
    """(class, crowd) of each segment, and the map of ids."""
    made = label_columns(label(pixels), list(table), kind, classes, "here")
    ids = np.asarray(Image.open(io.BytesIO(made["id_map"]["bytes"]))).tolist()
    assert [segment["id"] for segment in made["segments"]] == list(range(1, len(made["segments"]) + 1))
    return [(segment["category"], segment["iscrowd"]) for segment in made["segments"]], ids


def test_every_kind():
    assert columns(GREY, "semantic") == ([(0, False), (1, False), (2, False)], [[1, 2], [3, 0]])
    assert columns(np.stack([GREY] * 3, -1), "semantic") == columns(GREY, "semantic")
    assert columns(GREY.astype(np.uint16) * 200, "instance") == ([(0, False)] * 3, [[0, 1], [2, 3]])
    things = class_values(NAMES, [0], [])
    assert columns(NUMBERED, "class_instance", classes=things) == ([(0, False), (0, False), (1, False)], [[0, 1], [2, 3]])
    assert columns(IDS, "panoptic", TABLE) == ([(1, False), (1, True), (2, False)], [[0, 1], [2, 3]])


def test_what_a_table_of_segments_may_be():
    lists = {"id": [9, 10], "category_id": [1, 2]}
    assert segment_table(lists) == segment_table('[{"id": 9, "category_id": 1}, {"id": 10, "category_id": 2}]')
    assert segment_table(None) == []
    void = class_values(NAMES, [1], [])
    made = label_columns(label(IDS), [*TABLE, {"id": 1, "category_id": 0}], "panoptic", void, "here")
    assert made["segments"] == [{"id": 1, "category": 1, "iscrowd": False}] and made["dropped"] == 1


@pytest.mark.parametrize(
    ("images", "tables", "names", "kind"),
    [
        ([GREY], [], NAMES, "semantic"),
        ([GREY], [], {0: "cell"}, None),  # or ids of cells
        ([IDS], [TABLE], NAMES, "panoptic"),
        ([IDS], [TABLE[:2]], NAMES, None),
        ([np.zeros((2, 2, 3), np.uint8), NUMBERED], [], NAMES, "class_instance"),
        ([IDS], [], NAMES, None),
        ([NUMBERED * 64], [], NAMES, None),  # colours of classes, without blue
    ],
)
def test_detection(images, tables, names, kind):
    assert detect_kind([label(image) for image in images], tables, names) == kind


@pytest.mark.parametrize(
    ("pixels", "kind", "message"),
    [
        (NUMBERED, "semantic", "here holds colours, not values of kind semantic. Give kind class_instance for red"),
        (IDS, "class_instance", "here has blue; kind class_instance"),
        (IDS, "panoptic", r"here has the ids \[589824\], which its table lacks. Add them there"),
        (GREY + 3, "semantic", r"here has the values \[3, 4, 5\]; known are the classes 0..2 and void 255"),
    ],
)
def test_labels_of_another_kind(pixels, kind, message):
    with pytest.raises(BadSample, match=message):
        columns(pixels, kind, TABLE[:2])


def test_labels_that_are_no_images_or_have_lost_their_values():
    with pytest.raises(BadSample, match="here is a JPEG, which changes values. Store labels as PNG"):
        read_label(encoded(GREY, "JPEG"), "here")
    for nothing in (None, {"bytes": None, "path": None}, "a.png"):
        with pytest.raises(BadSample, match="here holds no image, but "):
            read_label(nothing, "here")
    assert read_label(encoded(GREY)["bytes"], "here").values.tolist() == GREY.tolist()
