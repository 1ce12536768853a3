"""Whether a confidence says which pixels are right, by hand and from the definitions."""

import pytest
import torch

from eomt.train_scripts.metrics.confidence_reliability import ConfidenceReliability

CLASSES = torch.tensor([[3, 3, 0, 1], [2, 2, 2, 0]])
TRUTH = torch.tensor([[3, 0, 0, 1], [2, 255, 1, 0]])  # right, wrong, right, right; right, void, wrong, right
LEVELS = torch.tensor([[65535, 50000, 50000, 20000], [30000, 0, 10000, 5000]])


def test_by_hand():
    """By confidence: right, then right and wrong, right, right, wrong, right."""
    found = ConfidenceReliability().compute([{"segmentation": CLASSES, "confidence": LEVELS}], [TRUTH])
    assert found["auprc_success"] == pytest.approx(100 * (1 + 2 / 3 + 3 / 4 + 4 / 5 + 5 / 7) / 5)
    assert found["auprc_error"] == pytest.approx(100 * (1 / 2 + 2 / 6) / 2)  # from the least confident on: right, wrong, ...
    assert found["auroc"] == pytest.approx(100 * (2 + 1.5 + 1 + 1 + 0) / 10)
    assert found["fpr95"] == 100.0  # all five right pixels are reached with the last
    bins = [(65535.5, 1), (50000.5 * 2, 1), (30000.5, 1), (20000.5, 1), (10000.5, 0), (5000.5, 1)]  # sums of levels, right pixels
    assert found["ece"] == pytest.approx(100 * sum(abs(right - levels / 65536) for levels, right in bins) / 7)


def test_floats_and_levels_are_alike_and_the_state_merges():
    floats = {"segmentation": CLASSES, "confidence": (LEVELS + 0.5) / 65536}
    whole, parts = ConfidenceReliability(), [ConfidenceReliability() for _ in range(2)]
    for part, rows in zip(parts, (slice(0, 1), slice(1, 2)), strict=True):
        part.add({name: value[rows] for name, value in floats.items()}, TRUTH[rows])
    parts[0].merge([part.state for part in parts])
    assert parts[0].compute() == whole.compute([{"segmentation": CLASSES, "confidence": LEVELS}], [TRUTH])


def test_nothing_wrong_or_nothing_at_all():
    none = {"auroc": None, "auprc_success": None, "auprc_error": None, "fpr95": None}
    sure = torch.ones(2, 4)
    assert ConfidenceReliability().compute([{"segmentation": TRUTH, "confidence": sure}], [TRUTH]) == {
        **none,
        "ece": pytest.approx(100 * 0.5 / 65536),
    }
    assert ConfidenceReliability().compute() == {**none, "ece": None}


def test_wrong_sizes():
    with pytest.raises(ValueError, match=r"predicted map is \(2, 4\), but the true one \(1, 4\)"):
        ConfidenceReliability().add({"segmentation": CLASSES, "confidence": LEVELS}, TRUTH[:1])
    with pytest.raises(ValueError, match=r"confidence is \(1, 4\), but the truth \(2, 4\)"):
        ConfidenceReliability().add({"segmentation": CLASSES, "confidence": LEVELS[:1]}, TRUTH)
