"""Tables and pictures of all tasks."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask

from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.samples import Sample
from eomt.train_scripts.evaluation.reporting import draw_predictions, drawable, picture_row, print_scores, score_tables

LABELS = Labels(["cat", "a rather long class name", "sky"], [True, True, False])


def rle(rows: slice, cols: slice) -> dict:
    mask = np.zeros((4, 6), np.uint8, order="F")
    mask[rows, cols] = 1
    return coco_mask.encode(mask)


INSTANCES = {
    "rles": [rle(np.s_[:2], np.s_[:]), rle(np.s_[1:], np.s_[:3]), rle(np.s_[:], np.s_[5:])],
    "scores": torch.tensor([0.9, 0.6, 0.3]),
    "labels": torch.tensor([1, 0, 0]),
}
CLASSES = torch.tensor([[2, 2, 2, 0, 0, -1]] * 4)
PANOPTIC = {"segmentation": torch.tensor([[0, 0, 1, 1, -1, -1]] * 4), "segments_info": [{"id": 0, "label_id": 2, "score": 1.0}]}


def test_results_of_each_task_as_segments():
    instances = drawable(INSTANCES, (4, 6), 0.5)
    assert instances.classes == {0: 1, 1: 0}  # the third scores too little
    assert instances.id_map.tolist() == [[0] * 6] * 2 + [[1] * 3 + [-1] * 3] * 2  # the best is on top
    semantic, panoptic = drawable(CLASSES, (4, 6), 0.5), drawable(PANOPTIC, (4, 6), 0.5)
    assert semantic.classes == {0: 0, 2: 2} and torch.equal(semantic.id_map, CLASSES)
    assert panoptic.classes == {0: 2}


@pytest.mark.parametrize("result", [INSTANCES, CLASSES, PANOPTIC])
def test_a_picture(tmp_path, result):
    ids = torch.ones(4, 6, dtype=torch.int32)
    sample = Sample("x", torch.zeros(3, 4, 6, dtype=torch.uint8), ids, torch.tensor([1]), torch.tensor([2]), torch.tensor([False]))
    draw_predictions(iter([(sample, result)] * 3), LABELS, tmp_path / "grid.png", images=2)
    assert 2 * 200 < Image.open(tmp_path / "grid.png").height < 3 * 240


def test_large_images_are_reduced():
    classes, image = torch.arange(3).repeat_interleave(1000).expand(40, 3000), torch.zeros(3, 40, 3000, dtype=torch.uint8)
    sample = Sample("x", image, classes.int(), torch.tensor([1]), torch.tensor([2]), torch.tensor([False]))
    row = picture_row(sample, classes)
    assert row.image.shape[1:] == row.truth.id_map.shape == row.prediction.id_map.shape == (10, 750)
    assert row.image.untyped_storage().nbytes() == 3 * 10 * 750 and row.prediction.classes == {0: 0, 1: 1, 2: 2}


def test_tables_show_groups_sizes_and_classes_that_dont_occur():
    quality = {f"{name}{suffix}": 50.0 for name in ("pq", "sq", "rq") for suffix in ("", "_things")}
    rows = [None, {"pq": 12.34, "sq": 1.0, "rq": 2.0}, None]
    lines = score_tables({**quality, "per_class": rows}, LABELS).splitlines()
    assert lines[0].split() == ["PQ", "SQ", "RQ"] and [line.split()[0] for line in lines[1:3]] == ["all", "things"]
    assert lines[-3].split() == ["cat", "-", "-", "-"] and lines[-2].split()[-3:] == ["12.3", "1.0", "2.0"]
    precision = {"ap": 5.0, "ap50": 6.0, "ap75": 7.0, "ap_small": -1, "ap_medium": 8.0, "ap_large": 9.0}
    lines = score_tables({**precision, "per_class": [1.0, None, 2.0]}, LABELS).splitlines()
    assert lines[1].split() == ["all", "5.0", "6.0", "7.0", "-", "8.0", "9.0"] and lines[-1].split() == ["sky", "2.0"]
    lines = score_tables({"miou": 40.0, "pixel_accuracy": 90.0, "per_class": [1.0, 2.0, 3.0]}, LABELS).splitlines()
    assert lines[0].split() == ["mIoU", "pixel", "accuracy"] and lines[3].split() == ["class", "IoU"]


@pytest.mark.parametrize(("scores", "head"), [({"pq": 10.0, "pq_stuff": -1.0}, "PQ  PQ stuff"), ({"ap": 10.0}, "AP")])
def test_before_and_after(tmp_path, capsys, scores, head):
    for prefix in ("before", "eval"):
        values = {f"{prefix}_{name}": value for name, value in scores.items()}
        (tmp_path / f"{prefix}_results.json").write_text(json.dumps({**values, f"{prefix}_runtime": 3.0}))
    print_scores(tmp_path, "photos")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("photos") and lines[0].endswith(head)
    assert lines[2].split() == ["after", "training", "10.0", *["-"] * (len(scores) - 1)]
