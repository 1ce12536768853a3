"""Void as a class: of maps of ids, of overlapping masks, and of whole splits."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from eomt.train_scripts.data import scenes
from eomt.train_scripts.data.background import cover_void, with_background
from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.dataset_folder import read_labels
from eomt.train_scripts.data.formats.segment_rows import encoded_ids
from eomt.train_scripts.data.formats.source import Options, Source
from eomt.train_scripts.data.formats.split import Split
from eomt.train_scripts.data.preparation import prepare
from eomt.train_scripts.data.samples import decode_row
from eomt.train_scripts.data.task_samples import merge_classes

PHOTO = scenes.make_row(0, "train", 0)["image"]


def segment(number: int, category: int = 0) -> dict:
    return {"id": number, "category": category, "iscrowd": False}


def test_the_void_of_a_map_becomes_a_segment():
    ids = np.zeros((112, 112), np.int64)
    ids[:50], ids[50:60] = 7, 300
    row = {"image_id": "a", "image": PHOTO, "id_map": encoded_ids(ids), "rles": None}
    sample = decode_row(cover_void({**row, "segments": [segment(300, 1), segment(7)]}, 2), 3, "here")
    assert sample.class_labels.tolist() == [1, 0, 2] and not (sample.id_map == 0).any()
    classes = merge_classes(sample).id_map - 1
    assert (classes[:50] == 0).all() and (classes[50:60] == 1).all() and (classes[60:] == 2).all()
    covered = cover_void({**row, "segments": [segment(300, 1), segment(7), segment(0)]}, 2)
    assert [entry["category"] for entry in covered["segments"]] == [1, 0, 0]  # id 0 is in the table, so that nothing is void


def test_an_id_that_the_table_lacks_is_reported_and_no_background():
    row = {"image_id": "a", "image": PHOTO, "id_map": encoded_ids(np.full((112, 112), 7)), "rles": None, "segments": []}
    with pytest.raises(BadSample, match=r"id_map has the ids \[7\], which segments lacks"):
        decode_row(cover_void(row, 0), 1, "here")


def test_what_overlapping_masks_leave_becomes_a_segment():
    masks = np.zeros((2, 112, 112), np.uint8, order="F")
    masks[0, :60], masks[1, 50:70] = 1, 1
    rles = [coco_mask.encode(np.asfortranarray(mask))["counts"].decode() for mask in masks]
    row = {"image_id": "a", "image": PHOTO, "id_map": None, "rles": rles, "segments": [segment(1), segment(2)]}
    sample = decode_row(cover_void(row, 1), 2, "here")
    assert sample.class_labels.tolist() == [0, 0, 1] and (sample.id_map == 3).any(0)[70:].all() and (sample.id_map > 0).any(0).all()
    masks[1, 50:] = 1
    rles = [coco_mask.encode(np.asfortranarray(mask))["counts"].decode() for mask in masks]
    assert cover_void({**row, "rles": rles}, 1) == {**row, "rles": rles}  # nothing is void


def test_a_name_that_is_a_class_already():
    with pytest.raises(ValueError, match=r"background='bee' names what is a class already; the classes are \['bee', "):
        with_background(Source(scenes.LABELS, [], dict, list), "bee")


def test_objects_of_one_class_get_a_background_and_an_image_without_any_is_still_asked_for(ten_photos, put_mask):
    for number in range(10):
        put_mask(number, np.array([[0, 0, 1, 1], [0, 2, 2, 0]], np.uint8))
    put_mask(3, np.zeros((2, 4), np.uint8))
    split = Split("train", "masks", ten_photos / "images", ten_photos / "masks")
    options = Options(kind="instance", classes=["cell"])
    with pytest.raises(BadSample, match="3.png has no segment"):
        prepare([split], ten_photos / "out", options, background="glass")
    report = prepare([split], ten_photos / "out", options, background="glass", empty="keep")["train"]
    labels = read_labels(ten_photos / "out")
    assert labels.names == ["cell", "glass"] and labels.isthing == [True, False]
    assert report.void_pixels == 0 and report.class_pixels == {"0": 36, "1": 44}
