"""Panoptic quality: by hand, and against another implementation on made and on real annotations."""

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hotcoco.panoptic import PanopticEval
from PIL import Image

from eomt.train_scripts.data.samples import Sample
from eomt.train_scripts.metrics.panoptic_quality import ONE, PanopticQuality


@pytest.fixture
def score(sample) -> Callable[..., PanopticQuality]:
    """`score(truth, prediction, true, predicted)`: the metric after one image, given as ids and {id: class}; class 2 is stuff."""

    def run(
        truth: list[list[int]],
        prediction: list[list[int]],
        true: dict[int, int],
        predicted: dict[int, int],
        crowd: tuple[int, ...] = (),
    ) -> PanopticQuality:
        quality = PanopticQuality([True, True, False])
        info = [{"id": i, "label_id": label, "score": 1.0} for i, label in predicted.items()]
        quality.add({"segmentation": torch.tensor(prediction), "segments_info": info}, sample(truth, true, crowd))
        return quality

    return run


def sums(quality: PanopticQuality) -> list[list[float]]:
    """The IoUs, true positives, false ones and misses of each class."""
    return (quality.state.double() / torch.tensor([ONE, 1, 1, 1])).tolist()


NOTHING = [0, 0, 0, 0]


def test_a_perfect_prediction_under_other_ids(score):
    quality = score([[5, 5, 9], [5, 70000, 9]], [[0, 0, 1], [0, 3, 1]], {5: 0, 9: 2, 70000: 0}, {0: 0, 1: 2, 3: 0})
    assert sums(quality) == [[2, 2, 0, 0], NOTHING, [1, 1, 0, 0]]
    result = quality.compute()
    assert all(result[name] == 100 for name in result if name != "per_class")
    assert result["per_class"] == [{"pq": 100.0, "sq": 100.0, "rq": 100.0}, None, {"pq": 100.0, "sq": 100.0, "rq": 100.0}]


def test_iou_must_exceed_one_half(score):
    scored = sums(score([[1, 1, 2, 2]], [[1, 2, 2, 2]], {1: 0, 2: 2}, {1: 0, 2: 2}))
    assert scored == [[0, 0, 1, 1], NOTHING, [pytest.approx(2 / 3, abs=1e-12), 1, 0, 0]]  # class 0 has an IoU of 1/2


def test_another_class_is_a_miss_and_a_false_positive(score):
    assert sums(score([[1, 1]], [[1, 1]], {1: 0}, {1: 1})) == [[0, 0, 0, 1], [0, 0, 1, 0], NOTHING]


def test_void_leaves_the_union_and_excuses_predictions(score):
    # three pixels of the segment, one of void, under one prediction: IoU 3/3
    assert sums(score([[1, 1, 1, 0]], [[4, 4, 4, 4]], {1: 0}, {4: 0}))[0] == [1, 1, 0, 0]
    # mostly on void: not false; half on void: false
    assert sums(score([[0, 0, 1]], [[4, 4, 4]], {1: 0}, {4: 1}))[1] == NOTHING
    assert sums(score([[0, 1]], [[4, 4]], {1: 0}, {4: 1}))[1] == [0, 0, 1, 0]


def test_crowd_is_never_missed_and_excuses_predictions_of_its_class(score):
    truth, prediction = [[1, 1, 1, 1]], [[7, 7, 8, 8]]
    assert sums(score(truth, prediction, {1: 0}, {7: 0, 8: 0}, crowd=(1,)))[0] == NOTHING
    assert sums(score(truth, prediction, {1: 0}, {7: 0, 8: 1}, crowd=(1,))) == [NOTHING, [0, 0, 1, 0], NOTHING]
    assert sums(score(truth, [[-1] * 4], {1: 0}, {}, crowd=(1,)))[0] == NOTHING


def test_crowd_and_void_together_excuse(score):
    assert sums(score([[1, 0, 2]], [[7, 7, 7]], {1: 0, 2: 2}, {7: 0}, crowd=(1,)))[0] == NOTHING


def test_nothing_found_and_nothing_to_find(score):
    assert sums(score([[1, 1]], [[-1, -1]], {1: 0}, {}))[0] == [0, 0, 0, 1]
    empty = score([[0, 0]], [[-1, -1]], {}, {})
    assert empty.state.sum() == 0 and empty.compute()["pq"] == 0.0
    assert score([[0, 0]], [[3, 3]], {}, {3: 0}).state.sum() == 0  # on void


def test_means_leave_out_absent_classes_and_groups():
    quality = PanopticQuality([True, True, True])
    quality.state[0] = torch.tensor([1.5 * ONE, 2, 1, 1])
    quality.state[1] = torch.tensor([0, 0, 1, 0])
    result = quality.compute()
    assert result["pq"] == pytest.approx(100 * (1.5 / 3 + 0) / 2)
    assert result["sq"] == pytest.approx(100 * (0.75 + 0) / 2) and result["rq"] == pytest.approx(100 * (2 / 3 + 0) / 2)
    assert result["pq_things"] == result["pq"] and "pq_stuff" not in result and result["per_class"][2] is None


def test_states_add(score):
    parts = [score([[1, 2]], [[1, 1]], {1: 0, 2: 1}, {1: 0}), score([[1, 1]], [[3, 3]], {1: 1}, {3: 1})]
    parts[0].merge([part.state for part in parts])
    assert parts[0].compute()["pq"] == pytest.approx((0 + 200 / 3) / 2)  # class 0 half covered; class 1 found once, missed once


def test_sums_of_ious_are_exact_in_any_order(sample):
    """Thirds, sevenths and so on, whose floating sums would depend on the order."""
    truths = [sample([[1] * width + [0]], {1: 0}) for width in range(2, 60)]
    predictions = [torch.tensor([[1] * (width - 1) + [-1, 1]]) for width in range(2, 60)]
    states = set()
    for seed in range(5):
        order, quality = list(range(58)), PanopticQuality([True])
        random.Random(seed).shuffle(order)
        for i in order:
            quality.add({"segmentation": predictions[i], "segments_info": [{"id": 1, "label_id": 0}]}, truths[i])
        states.add(tuple(quality.state[0].tolist()))
    (state,) = states
    assert state[0] / ONE == pytest.approx(sum((width - 1) / width for width in range(3, 60)), abs=1e-10)


def test_wrong_arguments(score, sample):
    with pytest.raises(ValueError, match=r"predicted map is \(1, 2\), but the true one \(1, 3\)"):
        score([[1, 1, 1]], [[1, 1]], {1: 0}, {1: 0})
    with pytest.raises(ValueError, match=r"segments_info has the classes \[3\]; allowed are 0..2"):
        score([[1, 1]], [[1, 1]], {1: 0}, {1: 3})
    with pytest.raises(ValueError, match=r"class_labels has the classes \[-1\]; allowed are 0..2"):
        score([[1, 1]], [[1, 1]], {1: -1}, {1: 0})
    with pytest.raises(ValueError, match="predicted map has .* ids from -2"):
        score([[1, 1]], [[1, -2]], {1: 0}, {1: 0})
    with pytest.raises(ValueError, match="predicted map has the dtype torch.float32"):
        score([[1, 1]], [[1.0, 1.0]], {1: 0}, {1: 0})
    twice = {"segmentation": torch.tensor([[0]]), "segments_info": [{"id": 0, "label_id": 0}] * 2}
    with pytest.raises(ValueError, match=r"predicted map has the segments \[0, 0\]"):
        PanopticQuality([True]).add(twice, sample([[1]], {1: 0}))


def perturbed(sample: Sample, generator: np.random.Generator, num_classes: int, shift: int) -> dict:
    """A prediction like a model's: shifted, some segments merged into void, split, relabelled, some inventions."""
    ids = np.roll(sample.id_map.numpy(), generator.integers(-shift, shift + 1, 2), (0, 1))
    prediction, classes = np.zeros_like(ids), {}
    for number, (segment, label) in enumerate(zip(sample.segment_ids.tolist(), sample.class_labels.tolist(), strict=True)):
        fate, inside = generator.random(), ids == segment
        if fate < 0.15 or not inside.any():
            continue
        prediction[inside], classes[number + 1] = number + 1, label if fate > 0.3 else (label + 1) % num_classes
        if fate > 0.8:
            half = inside & (np.arange(ids.shape[1]) < generator.integers(1, ids.shape[1]))
            prediction[half], classes[number + 501] = number + 501, label
    top, left = generator.integers(0, 100, 2)
    prediction[top : top + 60, left : left + 60], classes[900] = 900, int(generator.integers(num_classes))
    areas = dict(zip(*np.unique(prediction, return_counts=True), strict=True))
    info = [{"id": i, "label_id": label} for i, label in classes.items() if areas.get(i)]
    return {"segmentation": torch.from_numpy(prediction), "segments_info": info}


def save_rgb(ids: np.ndarray, path) -> None:
    Image.fromarray(np.stack([ids % 256, ids // 256 % 256, ids // 65536], -1).astype(np.uint8)).save(path, compress_level=1)


def hotcoco_scores(samples: list[Sample], predictions: list[dict], things: list[bool], folder) -> dict:
    """What hotcoco's evaluation makes of the same, written out as COCO has it."""
    true, predicted, images = [], [], []
    for number, (sample, prediction) in enumerate(zip(samples, predictions, strict=True), 1):
        height, width = sample.id_map.shape
        images.append({"id": number, "file_name": f"{number}.jpg", "height": height, "width": width})
        for name, ids in (("truth", sample.id_map.numpy()), ("prediction", prediction["segmentation"].numpy())):
            (folder / name).mkdir(exist_ok=True)
            save_rgb(ids, folder / name / f"{number}.png")
        columns = sample.segment_ids.tolist(), sample.class_labels.tolist(), sample.is_crowd.tolist()
        table = [
            {
                "id": i,
                "category_id": label + 1,
                "iscrowd": int(crowd),
                "area": int((sample.id_map == i).sum()),
                "bbox": [0, 0, 0, 0],
            }
            for i, label, crowd in zip(*columns, strict=True)
        ]
        entry = {"image_id": number, "file_name": f"{number}.png"}
        true.append({**entry, "segments_info": table})
        table = [{"id": segment["id"], "category_id": segment["label_id"] + 1} for segment in prediction["segments_info"]]
        predicted.append({**entry, "segments_info": table})
    categories = [{"id": label + 1, "name": str(label), "isthing": int(thing)} for label, thing in enumerate(things)]
    content = {"images": images, "categories": categories}
    evaluation = PanopticEval(
        {**content, "annotations": true},
        {**content, "annotations": predicted},
        gt_folder=str(folder / "truth"),
        pred_folder=str(folder / "prediction"),
    )
    evaluation.run()
    return evaluation.report()


def check_against_hotcoco(samples: list[Sample], things: list[bool], shift: int, folder) -> None:
    generator = np.random.default_rng(0)
    predictions = [perturbed(sample, generator, len(things), shift) for sample in samples]
    report = hotcoco_scores(samples, predictions, things, folder)
    result = PanopticQuality(things).compute(predictions, samples)
    assert 10 < result["pq"] < 90
    for suffix, short in (("", ""), ("_things", "_th"), ("_stuff", "_st")):
        for name in ("pq", "sq", "rq"):
            assert result[f"{name}{suffix}"] == pytest.approx(100 * report["metrics"][f"{name.upper()}{short}"], abs=1e-6)
    for label, row in enumerate(result["per_class"]):
        expected = report["per_class"].get(str(label), {})
        assert (row is None) == ("PQ" not in expected)
        assert row is None or row == {name: pytest.approx(100 * expected[name.upper()], abs=1e-6) for name in row}


def test_made_annotations_score_as_in_hotcoco(made_samples, tmp_path):
    check_against_hotcoco(made_samples, [True, True, True, False, False], 2, tmp_path)


def test_real_annotations_score_as_in_hotcoco(coco, tmp_path):
    """Perturbed truths of 100 photos, crowds and void included, against a third implementation of COCO's evaluation."""
    labels, samples = coco
    check_against_hotcoco(samples, labels.isthing, 12, tmp_path)
