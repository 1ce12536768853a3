"""Pictures of the results of all tasks."""

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask

from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.samples import Sample
from eomt.train_scripts.evaluation.pictures import draw_predictions, keep_rows, picture_row
from eomt.train_scripts.evaluation.tasks import TASKS

LABELS = Labels(["cat", "a rather long class name", "sky"], [True, True, False])
RESULTS = {
    "instance": {
        "rles": [coco_mask.encode(np.asfortranarray(np.ones((4, 6), np.uint8)))],
        "scores": torch.tensor([0.9]),
        "labels": torch.tensor([1]),
    },
    "semantic": torch.tensor([[2, 2, 2, 0, 0, -1]] * 4),
    "panoptic": {
        "segmentation": torch.tensor([[0, 0, 1, 1, -1, -1]] * 4),
        "segments_info": [{"id": 0, "label_id": 2, "score": 1.0}],
    },
}


def make_sample(name: str = "x") -> Sample:
    ids = torch.ones(4, 6, dtype=torch.int32)
    return Sample(name, torch.zeros(3, 4, 6, dtype=torch.uint8), ids, torch.tensor([1]), torch.tensor([2]), torch.tensor([False]))


@pytest.mark.parametrize("task", TASKS)
def test_a_picture(tmp_path, task):
    results = iter([(make_sample(), RESULTS[task])] * 3)
    draw_predictions(results, TASKS[task], LABELS, tmp_path / "grid.png", images=2)
    assert 2 * 200 < Image.open(tmp_path / "grid.png").height < 3 * 240


def test_rows_are_kept_evenly_spread_and_every_result_passes():
    pairs, rows = [(make_sample(name), torch.full((4, 6), i)) for i, name in enumerate("abcdefg")], []
    assert list(keep_rows(iter(pairs), TASKS["semantic"], rows, 3, total=7)) == pairs
    assert [list(row.prediction.classes) for row in rows] == [[0], [2], [4]]
    assert rows[0].truth.classes == {1: 2}


def test_large_images_are_reduced():
    classes, image = torch.arange(3).repeat_interleave(1000).expand(40, 3000), torch.zeros(3, 40, 3000, dtype=torch.uint8)
    sample = Sample("x", image, classes.int(), torch.tensor([1]), torch.tensor([2]), torch.tensor([False]))
    row = picture_row(TASKS["semantic"], sample, classes)
    assert row.image.shape[1:] == row.truth.id_map.shape == row.prediction.id_map.shape == (10, 750)
    assert row.image.untyped_storage().nbytes() == 3 * 10 * 750 and row.prediction.classes == {0: 0, 1: 1, 2: 2}
