"""Average precision of a ranking, by hand."""

import numpy as np
import pytest

from eomt.train_scripts.metrics.precision_recall import average_precision


def precision(ranking: str, objects: int) -> float:
    """Of a ranking such as "+-.", a hit, a miss and one that is ignored."""
    letters = np.array(list(ranking))
    return average_precision(letters == "+", letters == "-", objects)


@pytest.mark.parametrize(
    "ranking, objects, expected",
    [
        ("", 1, 0),
        ("-", 1, 0),
        (".", 1, 0),
        ("+", 1, 1),
        (".+.", 1, 1),
        ("-+", 1, 1 / 2),
        ("+-", 1, 1),
        ("+", 2, 51 / 101),  # recalls of 0, .01, ... .5
        ("+-+", 2, (51 + 50 * 2 / 3) / 101),
        ("-++", 2, 2 / 3),  # a higher precision at a higher recall counts for the lower ones
        ("++--+", 4, (51 + 25 * 3 / 5) / 101),
    ],
)
def test_by_hand(ranking, objects, expected):
    assert precision(ranking, objects) == pytest.approx(expected, abs=1e-12)
