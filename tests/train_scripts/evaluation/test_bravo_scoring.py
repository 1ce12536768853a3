"""Scores on BRAVO by hand, on a drawn tree: valid, invalid and void pixels, sampling, and harmonic means."""

import json
import statistics

import numpy as np
import pytest
import torch
from PIL import Image

from eomt.train_scripts.data.bravo_tree import SUBSETS
from eomt.train_scripts.evaluation import bravo_scoring
from eomt.train_scripts.evaluation.bravo_scoring import overall_scores, sampled_pixels, score_bravo

ALL = [subset.name for subset in SUBSETS]
# right, wrong, right, wrong; void; unknown objects, which have a label or none
FIRST = dict(
    label=[[0, 0, 1, 1, 255]], invalid=[[0, 0, 0, 0, 0]], classes=[[0, 1, 1, 2, 2]], confidence=[[60000, 50000, 40000, 10000, 7]]
)
SECOND = dict(label=[[3, 4, 255]], invalid=[[1, 9, 1]], classes=[[3, 2, 2]], confidence=[[30000, 45000, 1]])
ECE = 100 * (abs(1 - 60000.5 / 65536) + 50000.5 / 65536 + abs(1 - 40000.5 / 65536) + 10000.5 / 65536) / 4
CLASSES = {
    "miou": 100 * (1 / 2 + 1 / 3 + 0) / 3,
    "auroc": 75.0,
    "auprc_success": 250 / 3,
    "auprc_error": 250 / 3,
    "fpr95": 50.0,
    "ece": ECE,
}
UNKNOWN = {"auroc_ood": 62.5, "auprc_ood": 50.0, "fpr95_ood": 50.0}
GOOD_CLASSES, GOOD_UNKNOWN = [75.0, 250 / 3, 250 / 3, 50.0, 100 - ECE], [62.5, 50.0, 50.0]


@pytest.fixture
def tree(bravo_tree):
    bravo_tree(ALL, "one", **FIRST)
    return bravo_tree(ALL, "two", **SECOND)


def test_each_subset_by_hand(tree, tmp_path):
    truth, predictions = tree
    scores = score_bravo(predictions, truth, tmp_path / "new" / "scores.json")
    assert list(scores) == [*ALL, "all"] and json.loads((tmp_path / "new" / "scores.json").read_text()) == scores
    for subset in SUBSETS:
        expected = (CLASSES if subset.of_classes else {}) | (UNKNOWN if subset.of_unknown else {})
        good = (GOOD_CLASSES if subset.of_classes else []) + (GOOD_UNKNOWN if subset.of_unknown else [])
        assert scores[subset.name] == pytest.approx({**expected, "mean": statistics.harmonic_mean(good)}), subset.name
    semantic, ood = statistics.harmonic_mean(GOOD_CLASSES), statistics.harmonic_mean(GOOD_UNKNOWN)
    summary = {"semantic": semantic, "ood": ood, "bravo_index": statistics.harmonic_mean([semantic, ood])}
    assert scores["all"] == pytest.approx({**CLASSES, **UNKNOWN, **summary})


def test_means_over_subsets_are_harmonic_and_errors_are_taken_from_100():
    rows = {
        "a": {"miou": 50.0, "auroc": 40.0, "fpr95": 90.0},
        "b": {"miou": 100.0, "auroc": 60.0, "fpr95": 60.0},
        "c": {"auprc_ood": 30.0},
    }
    names = ("auprc_success", "auprc_error", "ece", "auroc_ood", "fpr95_ood")
    overall = overall_scores(rows)
    assert overall["miou"] == pytest.approx(200 / 3) and overall["auroc"] == pytest.approx(48) and overall["auprc_ood"] == 30.0
    assert overall["fpr95"] == pytest.approx(100 - 16) and all(overall[name] is None for name in names)
    assert overall["semantic"] == pytest.approx(4 / (1 / 40 + 1 / 60 + 1 / 10 + 1 / 40)) and overall["bravo_index"] is None


def test_a_score_that_can_t_be_computed_has_no_mean(bravo_tree):
    """Where all pixels are right, nothing says how well errors are found."""
    right = {**FIRST, "classes": FIRST["label"]}
    truth, predictions = bravo_tree(["synrain"], "one", **right)
    bravo_tree(["synflare"], "one", **FIRST)
    scores = score_bravo(predictions, truth)
    assert scores["synrain"]["auroc"] is None and scores["synrain"]["mean"] is None and scores["synrain"]["miou"] == 100.0
    assert scores["all"]["semantic"] is None and scores["all"]["auroc"] is None and scores["all"]["ood"] is None


def test_sampled_pixels_are_those_of_the_challenges_rule(monkeypatch):
    label = torch.from_numpy(np.random.default_rng(0).integers(0, 3, (40, 50)))
    label[label == 2] = 255
    known = np.flatnonzero(label.numpy() != 255)
    assert np.array_equal(sampled_pixels(label), known)  # no more than 100,000: all
    monkeypatch.setattr(bravo_scoring, "SAMPLES", 300)
    np.random.seed(1)
    expected = np.sort(np.random.choice(known, 300, replace=False))
    assert np.array_equal(sampled_pixels(label), expected) and np.array_equal(sampled_pixels(label), expected)


def test_curves_are_of_sampled_pixels_and_miou_of_all(bravo_tree, monkeypatch):
    random = np.random.default_rng(0)
    label, classes = random.integers(0, 19, (2, 30, 40))
    classes = np.where(random.random((30, 40)) < 0.7, label, classes)
    confidence = random.integers(0, 65536, (30, 40)) // 2 + 16000 * (classes == label)
    maps = dict(label=label, invalid=random.integers(0, 2, (30, 40)), classes=classes, confidence=confidence)
    folders = bravo_tree(["synobjs"], "one", **maps)[::-1]
    whole = score_bravo(*folders)["synobjs"]
    monkeypatch.setattr(bravo_scoring, "SAMPLES", 200)
    sampled = score_bravo(*folders)["synobjs"]
    assert sampled["miou"] == whole["miou"] and sum(sampled[name] != whole[name] for name in whole) > 5
    assert all(abs(sampled[name] - whole[name]) < 25 for name in whole)


def test_wrong_files(bravo_tree, tmp_path):
    truth, predictions = bravo_tree(["SMIYC"], "one", **FIRST)
    with pytest.raises(ValueError, match=r"truth='.*': no such folder"):
        score_bravo(predictions, tmp_path / "none")
    with pytest.raises(ValueError, match="has labels in none of bravo_ACDC, bravo_synrain, .*; give the folder that these are in"):
        score_bravo(predictions, truth / "bravo_SMIYC")
    bravo_tree(["SMIYC"], "one", **{**FIRST, "classes": [[0, 1, 19, 0, 255]]})
    with pytest.raises(ValueError, match=r"one_pred.png has the class 19; allowed are 0\.\.18"):
        score_bravo(predictions, truth)
    bravo_tree(["SMIYC"], "one", **FIRST)
    path = predictions / "bravo_SMIYC/RoadAnomaly21/images/one_conf.png"
    Image.fromarray(np.zeros((1, 5), np.uint8)).save(path)
    with pytest.raises(ValueError, match="one_conf.png has the mode L, but confidence is grey of 16 bits"):
        score_bravo(predictions, truth)
    Image.fromarray(np.zeros((1, 4), np.uint16)).save(path)
    with pytest.raises(ValueError, match=r"one_conf.png has \(1, 4\) pixels \(height, width\), but its label \(1, 5\)"):
        score_bravo(predictions, truth)
