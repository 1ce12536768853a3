"""Areas under curves and calibration: scikit-learn's figures for a toy with ties, and their definitions pixel by pixel."""

import numpy as np
import pytest

from eomt.train_scripts.metrics.ranking import (
    area_under_precision_recall,
    area_under_roc,
    expected_calibration_error,
    false_positive_rate,
)

TRUTH = np.array([1, 1, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0])
SCORE = np.array([9, 8, 8, 7, 6, 5, 4, 4, 4, 2, 1, 1])  # in tenths
LATER_TRUTH, LATER_SCORE = np.array([0, 0, 1, 0]), np.array([9.5, 3, 2, 1])  # of another image


def counts(truth: np.ndarray, score: np.ndarray, levels: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Positives and negatives at half tenths of the score."""
    index = (2 * np.asarray(score)).astype(int)
    return tuple(np.bincount(index[truth == value], minlength=levels) for value in (1, 0))


def test_toy_as_scikit_learn_has_it():
    toy = counts(TRUTH, SCORE)
    assert area_under_precision_recall(*toy) == pytest.approx(0.7152777778, abs=1e-10)  # 1/4 (1 + 2/3 + 3/4 + 4/9)
    assert area_under_roc(*toy) == pytest.approx(0.828125, abs=1e-12)
    assert false_positive_rate(*toy) == pytest.approx(0.625, abs=1e-12)


def test_toy_of_two_images_pooled_which_is_not_their_mean():
    toy, later = counts(TRUTH, SCORE), counts(LATER_TRUTH, LATER_SCORE)
    pooled = [a + b for a, b in zip(toy, later, strict=True)]
    assert area_under_precision_recall(*later) == pytest.approx(1 / 3)
    assert area_under_precision_recall(*pooled) == pytest.approx(0.4769230769, abs=1e-10)
    assert area_under_roc(*pooled) == pytest.approx(0.6909090909, abs=1e-10)
    assert false_positive_rate(*pooled) == pytest.approx(0.7272727273, abs=1e-10)


@pytest.mark.parametrize("seed", range(8))
def test_definitions_over_all_thresholds_and_pairs(seed):
    random = np.random.default_rng(seed)
    truth = random.integers(0, 2, 60)
    truth[:2] = 0, 1
    score = random.integers(0, [3, 8, 20, 20][seed % 4], 60)  # many ties, or few
    positives, negatives = (np.bincount(score[truth == value], minlength=20) for value in (1, 0))
    pairs = score[truth == 1][:, None], score[truth == 0]
    assert area_under_roc(positives, negatives) == pytest.approx(((pairs[0] > pairs[1]) + (pairs[0] == pairs[1]) / 2).mean())
    area, last_recall, rates = 0.0, 0.0, []
    for threshold in sorted(set(score.tolist()), reverse=True):
        found = score >= threshold
        precision, recall = truth[found].mean(), truth[found].sum() / truth.sum()
        area, last_recall = area + precision * (recall - last_recall), recall
        rates.append((20 * truth[found].sum() >= 19 * truth.sum(), (1 - truth)[found].sum() / (1 - truth).sum()))
    assert area_under_precision_recall(positives, negatives) == pytest.approx(area)
    assert false_positive_rate(positives, negatives) == pytest.approx(next(rate for enough, rate in rates if enough))


def test_the_first_point_with_95_percent_counts_when_it_is_exactly_that():
    positives, negatives = np.array([1, 0, 19]), np.array([2, 5, 3])  # 19 of 20 at the highest level
    assert false_positive_rate(positives, negatives) == 0.3
    assert false_positive_rate(np.array([2, 0, 18]), negatives) == 1.0


def test_a_perfect_and_a_reversed_ranking():
    positives, negatives = np.array([0, 0, 7]), np.array([5, 2, 0])
    assert area_under_roc(positives, negatives) == area_under_precision_recall(positives, negatives) == 1.0
    assert area_under_roc(negatives, positives) == 0.0 and false_positive_rate(negatives, positives) == 1.0


def test_calibration_error_by_hand():
    levels = 30  # two a bin
    right, wrong = np.zeros(levels, int), np.zeros(levels, int)
    right[0], wrong[1] = 3, 1  # first bin: accuracy 3/4, confidence (3 x .5 + 1.5) / 30 / 4 = 1/40
    right[29], wrong[29] = 4, 4  # last bin: accuracy 1/2, confidence 29.5/30
    assert expected_calibration_error(right, wrong) == pytest.approx((4 * abs(3 / 4 - 1 / 40) + 8 * (29.5 / 30 - 1 / 2)) / 12)


def test_calibration_error_is_small_where_accuracy_is_confidence():
    total = np.full(65536, 65536)
    right = np.arange(65536)
    assert expected_calibration_error(right, total - right) < 1e-4
    assert expected_calibration_error(total, 0 * total) == pytest.approx(0.5, abs=1e-4)
