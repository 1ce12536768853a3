"""Mean IoU and pixel accuracy: by hand, against numpy masks, and against another implementation."""

import numpy as np
import pytest
import torch
from hotcoco.semantic import SemanticEval

from eomt.train_scripts.data.samples import Sample
from eomt.train_scripts.metrics.mean_iou import MeanIoU


def test_by_hand(sample):
    metric = MeanIoU(4)
    truth = sample([[5, 5, 5, 9], [7, 7, 0, 9]], {5: 0, 9: 2, 7: 0})
    metric.add(torch.tensor([[0, 0, 1, 2], [-1, 2, 0, 2]]), truth)
    assert metric.state.tolist() == [[2, 5, 2], [0, 0, 1], [2, 2, 3], [0, 0, 0]]
    result = metric.compute()
    assert result["per_class"] == [pytest.approx(40), 0.0, pytest.approx(200 / 3), None]
    assert result["miou"] == pytest.approx((40 + 0 + 200 / 3) / 3) and result["pixel_accuracy"] == pytest.approx(400 / 7)


def test_void_and_crowd_are_left_out(sample):
    metric = MeanIoU(2)
    metric.add(torch.tensor([[0, 1, 1, 1]]), sample([[1, 0, 2, -1]], {1: 0, 2: 0}, crowd=(2,)))
    assert metric.compute() == {"miou": 100.0, "pixel_accuracy": 100.0, "per_class": [100.0, None]}


def test_no_class_at_all_is_wrong(sample):
    assert MeanIoU(2).compute([torch.full((1, 2), -1)], [sample([[1, 2]], {1: 0, 2: 1})])["pixel_accuracy"] == 0.0


def test_a_batch_may_be_one_tensor(sample):
    truths = [sample([[1, 2]], {1: 0, 2: 1}), sample([[1, 1]], {1: 0})]
    assert MeanIoU(2).compute(torch.tensor([[[0, 1]], [[0, 0]]]), truths)["miou"] == 100.0
    with pytest.raises(ValueError, match="predictions has 0 entries, but references 2"):
        MeanIoU(2).compute(references=truths)


def test_nothing_to_score(sample):
    assert MeanIoU(1).compute() == {"miou": 0.0, "pixel_accuracy": 0.0, "per_class": [None]}
    assert MeanIoU(1).compute([torch.tensor([[0]])], [sample([[0]], {})])["miou"] == 0.0


def test_wrong_arguments(sample):
    truth = sample([[1, 1]], {1: 1})
    with pytest.raises(ValueError, match=r"predicted map is \(1, 3\), but the true one \(1, 2\)"):
        MeanIoU(2).add(torch.zeros(1, 3, dtype=torch.int64), truth)
    with pytest.raises(ValueError, match=r"prediction has classes from 0 to 255; allowed are -1..1, by num_classes"):
        MeanIoU(2).add(torch.tensor([[0, 255]]), truth)
    with pytest.raises(ValueError, match=r"prediction has classes from -2 to 0; allowed are -1..1"):
        MeanIoU(2).add(torch.tensor([[0, -2]]), truth)
    with pytest.raises(ValueError, match=r"class_labels has classes from 1 to 1; allowed are 0..0"):
        MeanIoU(1).add(torch.tensor([[0, 0]]), truth)
    with pytest.raises(ValueError, match="dtype torch.float32; it must hold integer ids"):
        MeanIoU(2).add(torch.zeros(1, 2), truth)


def class_maps(sample: Sample, num_classes: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The truth painted as classes, -1 being void, and a prediction: shifted, some segments of another class, some of none."""
    true = np.full(sample.id_map.shape, -1)
    predicted = np.full(sample.id_map.shape, random.integers(num_classes))
    ids, shifted = sample.id_map.numpy(), np.roll(sample.id_map.numpy(), (3, -5), (0, 1))
    columns = sample.segment_ids.tolist(), sample.class_labels.tolist(), sample.is_crowd.tolist()
    for segment, label, crowd in zip(*columns, strict=True):
        true[ids == segment] = -1 if crowd else label
        predicted[shifted == segment] = random.choice([label, label, label, random.integers(num_classes), -1])
    return true, predicted


def check_against_others(samples: list[Sample], num_classes: int) -> None:
    random, metric = np.random.default_rng(0), MeanIoU(num_classes)
    other = SemanticEval(num_classes + 1, ignore_index=1000)  # a last class for "no class"
    sums = np.zeros((4, num_classes))  # by masks: both, either; pixels that count, that are right
    for sample in samples:
        true, predicted = class_maps(sample, num_classes, random)
        metric.add(torch.from_numpy(predicted), sample)
        other.update(np.where(true < 0, 1000, true), np.where(predicted < 0, num_classes, predicted))
        true, predicted = true[true >= 0], predicted[true >= 0]
        for label in np.union1d(true, predicted)[np.union1d(true, predicted) >= 0]:
            one, two = true == label, predicted == label
            sums[:, label] += (one & two).sum(), (one | two).sum(), one.sum(), (predicted[one] == label).sum()
    result = metric.compute()
    assert 20 < result["miou"] < 90
    both, either, counted, right = sums
    assert result["miou"] == pytest.approx(100 * (both[either > 0] / either[either > 0]).mean(), abs=1e-6)
    assert result["pixel_accuracy"] == pytest.approx(100 * right.sum() / counted.sum(), abs=1e-6)

    confusion = other.confusion().astype(np.float64)  # by hotcoco: rows are the truth
    right, union = np.diag(confusion), confusion.sum(0) + confusion.sum(1) - np.diag(confusion)
    iou = [100 * right[i] / union[i] if union[i] else None for i in range(num_classes)]
    assert result["per_class"] == [value if value is None else pytest.approx(value, abs=1e-6) for value in iou]
    assert result["pixel_accuracy"] == pytest.approx(100 * other.report()["metrics"]["aAcc"], abs=1e-6)


def test_made_annotations_score_as_by_others(made_samples):
    check_against_others(made_samples, 5)


def test_real_annotations_score_as_by_others(coco):
    labels, samples = coco
    check_against_others(samples, len(labels))
