"""Panoptic quality: by hand, and against another implementation on real annotations."""

import json

import numpy as np
import pytest
import torch
from hotcoco.panoptic import pq_compute
from PIL import Image

from eomt.train_scripts.coco_panoptic import make_row, read_annotations
from eomt.train_scripts.panoptic_quality import PanopticQuality
from eomt.train_scripts.samples import Sample, decode_row


def score(
    truth: list[list[int]],
    prediction: list[list[int]],
    true: dict[int, int],
    found: dict[int, int],
    crowd: tuple[int, ...] = (),
    things: tuple[bool, ...] = (True, True, False),
) -> PanopticQuality:
    quality = PanopticQuality(things)
    quality.add(
        torch.tensor(prediction),
        [{"id": i, "label_id": label, "score": 1.0} for i, label in found.items()],
        torch.tensor(truth, dtype=torch.int32),
        torch.tensor(list(true), dtype=torch.int64),
        torch.tensor(list(true.values()), dtype=torch.int64),
        torch.tensor([i in crowd for i in true], dtype=torch.bool),
    )
    return quality


def test_a_perfect_prediction_under_other_ids():
    quality = score([[5, 5, 9], [5, 70000, 9]], [[0, 0, 1], [0, 3, 1]], {5: 0, 9: 2, 70000: 0}, {0: 0, 1: 2, 3: 0})
    result = quality.compute()
    assert quality.state.tolist() == [[2, 2, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0]]
    assert all(result[name] == 100 for name in result if name != "per_class")
    assert result["per_class"] == [{"pq": 100.0, "sq": 100.0, "rq": 100.0}, None, {"pq": 100.0, "sq": 100.0, "rq": 100.0}]


def test_iou_must_exceed_one_half():
    assert score([[1, 1, 2, 2]], [[1, 2, 2, 2]], {1: 0, 2: 2}, {1: 0, 2: 2}).state.tolist() == [
        [0, 0, 1, 1],  # IoU 1/2
        [0, 0, 0, 0],
        [2 / 3, 1, 0, 0],
    ]


def test_another_class_is_a_miss_and_a_false_positive():
    assert score([[1, 1]], [[1, 1]], {1: 0}, {1: 1}).state[:2].tolist() == [[0, 0, 0, 1], [0, 0, 1, 0]]


def test_void_leaves_the_union_and_excuses_predictions():
    # three pixels of the segment, one of void, under one prediction: IoU 3/3
    assert score([[1, 1, 1, 0]], [[4, 4, 4, 4]], {1: 0}, {4: 0}).state[0].tolist() == [1, 1, 0, 0]
    # mostly on void: not false; half on void: false
    assert score([[0, 0, 1]], [[4, 4, 4]], {1: 0}, {4: 1}).state[1].tolist() == [0, 0, 0, 0]
    assert score([[0, 1]], [[4, 4]], {1: 0}, {4: 1}).state[1].tolist() == [0, 0, 1, 0]


def test_crowd_is_never_missed_and_excuses_predictions_of_its_class():
    truth, prediction = [[1, 1, 1, 1]], [[7, 7, 8, 8]]
    assert score(truth, prediction, {1: 0}, {7: 0, 8: 0}, crowd=(1,)).state[0].tolist() == [0, 0, 0, 0]
    assert score(truth, prediction, {1: 0}, {7: 0, 8: 1}, crowd=(1,)).state[:2, 2].tolist() == [0, 1]
    assert score(truth, [[-1] * 4], {1: 0}, {}, crowd=(1,)).state.sum() == 0


def test_crowd_and_void_together_excuse():
    assert score([[1, 0, 2]], [[7, 7, 7]], {1: 0, 2: 2}, {7: 0}, crowd=(1,)).state[0].tolist() == [0, 0, 0, 0]


def test_nothing_found_and_nothing_to_find():
    assert score([[1, 1]], [[-1, -1]], {1: 0}, {}).state[0].tolist() == [0, 0, 0, 1]
    empty = score([[0, 0]], [[-1, -1]], {}, {})
    assert empty.state.sum() == 0 and empty.compute()["pq"] == 0.0
    assert score([[0, 0]], [[3, 3]], {}, {3: 0}).state.sum() == 0  # on void


def test_means_leave_out_absent_classes_and_groups():
    quality = PanopticQuality([True, True, True])
    quality.state[0] = torch.tensor([1.5, 2, 1, 1])
    quality.state[1] = torch.tensor([0, 0, 1, 0])
    result = quality.compute()
    assert result["pq"] == pytest.approx(100 * (1.5 / 3 + 0) / 2)
    assert result["sq"] == pytest.approx(100 * (0.75 + 0) / 2) and result["rq"] == pytest.approx(100 * (2 / 3 + 0) / 2)
    assert result["pq_things"] == result["pq"] and "pq_stuff" not in result and result["per_class"][2] is None


def test_states_add():
    parts = [score([[1, 2]], [[1, 1]], {1: 0, 2: 1}, {1: 0}), score([[1, 1]], [[3, 3]], {1: 1}, {3: 1})]
    joint = PanopticQuality([True, True, False])
    joint.state = parts[0].state + parts[1].state
    assert joint.compute()["pq"] == pytest.approx((0 + 200 / 3) / 2)  # class 0 half covered; class 1 found once, missed once


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"segmentation is \(1, 2\), but id_map \(1, 3\)"):
        score([[1, 1, 1]], [[1, 1]], {1: 0}, {1: 0})
    with pytest.raises(ValueError, match=r"segments_info has the classes \[3\]; allowed are 0..2"):
        score([[1, 1]], [[1, 1]], {1: 0}, {1: 3})


def perturbed(sample: Sample, generator: np.random.Generator) -> tuple[np.ndarray, dict[int, int]]:
    """A prediction like a model's: shifted, some segments merged into void, split, relabelled, some inventions."""
    ids = np.roll(sample.id_map.numpy(), generator.integers(-12, 13, 2), (0, 1))
    prediction, found = np.zeros_like(ids), {}
    for number, (segment, label) in enumerate(zip(sample.segment_ids.tolist(), sample.class_labels.tolist(), strict=True)):
        fate, inside = generator.random(), ids == segment
        if fate < 0.15 or not inside.any():
            continue
        prediction[inside], found[number + 1] = number + 1, label if fate > 0.3 else (label + 1) % 133
        if fate > 0.8:
            half = inside & (np.arange(ids.shape[1]) < generator.integers(1, ids.shape[1]))
            prediction[half], found[number + 501] = number + 501, label
    top, left = generator.integers(0, 100, 2)
    prediction[top : top + 60, left : left + 60], found[900] = 900, int(generator.integers(133))
    areas = dict(zip(*np.unique(prediction, return_counts=True), strict=True))
    return prediction, {i: label for i, label in found.items() if areas.get(i)}


def rgb(ids: np.ndarray) -> Image.Image:
    return Image.fromarray(np.stack([ids % 256, ids // 256 % 256, ids // 65536], -1).astype(np.uint8))


def test_real_annotations_score_as_in_hotcoco(shared_data, tmp_path):
    """Perturbed truths of 100 photos, crowds and void included, against a third implementation of COCO's evaluation."""
    folder = shared_data("coco_panoptic100")
    labels, index, pairs = read_annotations(folder / "panoptic_train2017.json")
    categories = {position: category for category, position in index.items()}
    quality, generator, annotations = PanopticQuality(labels.isthing), np.random.default_rng(0), []
    for image, annotation in pairs:
        row = make_row(image, annotation, index, folder / "train2017", folder / "panoptic_train2017")
        sample = decode_row(row, len(labels), "coco")
        ids, found = perturbed(sample, generator)
        info = [{"id": i, "label_id": label} for i, label in found.items()]
        quality.add(torch.from_numpy(ids), info, sample.id_map, sample.segment_ids, sample.class_labels, sample.is_crowd)
        rgb(ids).save(tmp_path / annotation["file_name"], compress_level=1)
        table = [{"id": i, "category_id": categories[label]} for i, label in found.items()]
        annotations.append({**annotation, "segments_info": table})
    truth = json.loads((folder / "panoptic_train2017.json").read_text())
    (tmp_path / "prediction.json").write_text(json.dumps({**truth, "annotations": annotations}))
    expected = pq_compute(
        str(folder / "panoptic_train2017.json"),
        str(tmp_path / "prediction.json"),
        str(folder / "panoptic_train2017"),
        str(tmp_path),
    )
    result = quality.compute()
    assert 10 < result["pq"] < 90
    for suffix, group in (("", "All"), ("_things", "Things"), ("_stuff", "Stuff")):
        for name in ("pq", "sq", "rq"):
            assert result[f"{name}{suffix}"] == pytest.approx(100 * expected[group][name], abs=1e-6)
