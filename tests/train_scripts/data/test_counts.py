"""Counts below the least are refused where options are read, before anything is loaded or written."""

import pytest

from eomt.train_scripts.evaluation.inference_options import PredictOptions, ScoreOptions

PREDICT = {"checkpoint": "org/name", "images": "photos", "task": "semantic", "output": "out"}


@pytest.mark.parametrize(
    ("options", "given", "name", "least"),
    [
        (ScoreOptions, {"checkpoint": "org/name", "data": "org/data", "split": "val", "task": "semantic"}, "batch_size", 1),
        (PredictOptions, PREDICT, "batch_size", 1),
        (PredictOptions, PREDICT, "threads", 1),
    ],
)
def test_less_than_the_least_is_refused(options, given, name, least):
    with pytest.raises(ValueError, match=f"^{name}={least - 1} must be at least {least}; .*such as"):
        options(**given, **{name: least - 1})
