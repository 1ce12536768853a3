"""What is written of a prediction, each task by itself."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask

from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.image_sources import NamedImage
from eomt.train_scripts.evaluation.prediction_formats import InstanceFormat, PanopticFormat, SemanticFormat

LABELS = Labels(["sky", "cat", "dog"], [False, True, True])
IDS = [10, 20, 30]
PHOTO = NamedImage("000000000139", torch.zeros(3, 4, 6, dtype=torch.uint8), "000000000139.jpg")
RECORDS = [{"image": {"id": 1}, "annotations": [{"score": 0.5}, {"score": 0.25}]}, {"image": {"id": 2}, "annotations": []}]


@pytest.mark.parametrize(("number", "dtype", "void"), [(255, np.uint8, 255), (256, np.uint16, 65535)])
def test_an_index_image_has_8_bits_while_void_fits_in(tmp_path, number, dtype, void):
    labels = Labels([str(index) for index in range(number)], [False] * number)
    written = SemanticFormat(tmp_path, labels, range(number)).write(PHOTO, torch.tensor([[2, 2, 2, 0, 0, -1]] * 4))
    pixels = np.asarray(Image.open(tmp_path / "semantic" / "000000000139.png"))
    assert pixels.dtype == dtype and pixels[0].tolist() == [2, 2, 2, 0, 0, void] and written == []


def test_a_panoptic_png_and_its_segments(tmp_path):
    infos = [{"id": 0, "label_id": 2, "score": 1.0}, {"id": 299, "label_id": 0, "score": 0.5}]
    result = {"segmentation": torch.tensor([[0, 0, 1, 1, 299, 299]] * 4), "segments_info": infos}
    (entry,) = PanopticFormat(tmp_path, LABELS, IDS).write(PHOTO, result)
    ids = np.asarray(Image.open(tmp_path / "panoptic" / entry["file_name"])).astype(int) @ [1, 256, 65536]
    assert ids[0].tolist() == [1, 1, 0, 0, 300, 300] and entry["image_id"] == 139  # 0 is void, also for what isn't listed
    first, second = entry["segments_info"]
    assert first == {"id": 1, "category_id": 30, "area": 8, "bbox": [0, 0, 2, 4], "iscrowd": 0, "score": 1.0}
    assert second["id"] == 300 and second["category_id"] == 10 and second["bbox"] == [4, 0, 2, 4]


def test_instances_need_no_image(tmp_path):
    mask = np.zeros((4, 6), np.uint8, order="F")
    mask[1:, :3] = 1
    result = {"rles": [coco_mask.encode(mask)], "scores": torch.tensor([0.5]), "labels": torch.tensor([1])}
    (entry,) = InstanceFormat(tmp_path, LABELS, IDS).write(PHOTO, result)
    assert (entry["image_id"], entry["category_id"], entry["score"], entry["bbox"]) == (139, 20, 0.5, [0, 1, 3, 3])
    assert np.array_equal(coco_mask.decode({**entry["segmentation"], "counts": entry["segmentation"]["counts"].encode()}), mask)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("records", [RECORDS, []])
def test_joint_files_hold_what_the_records_hold(tmp_path, records):
    entries, files = [entry for record in records for entry in record["annotations"]], [io.StringIO(), io.StringIO()]
    for file, form in zip(files, (InstanceFormat, PanopticFormat), strict=True):
        form(tmp_path, LABELS, IDS).join(file, lambda: iter(records))
    instances, panoptic = (json.loads(file.getvalue()) for file in files)
    assert instances == entries == panoptic["annotations"] and panoptic["images"] == [record["image"] for record in records]
    assert panoptic["categories"][1] == {"id": 20, "name": "cat", "isthing": 1}
    assert SemanticFormat.joint_file is None
