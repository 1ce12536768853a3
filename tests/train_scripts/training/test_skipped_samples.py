"""Rows that are left out are counted, and warned of once."""

from eomt.train_scripts.training.skipped_samples import SkippedSamples


def test_rows_of_the_training_count_each_time_and_are_warned_of_once(caplog):
    skipped = SkippedSamples()
    assert skipped.counts() == {}
    for reasons in (["a", "b"], [], ["a"]):
        skipped.add(reasons)
    assert skipped.total == 3 and skipped.counts() == {"skipped_samples": 3}
    assert caplog.messages == ["left out: a", "left out: b"]


def test_rows_of_an_evaluation_are_warned_of_alone(caplog):
    skipped = SkippedSamples()
    skipped.warn(["a"])
    skipped.add(["a"])
    assert skipped.total == 1 and caplog.messages == ["left out: a"]
