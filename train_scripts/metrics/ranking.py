"""How well a score ranks positives above negatives, and how true a confidence is, from counts at each level of the score.

Pixels of equal score enter a curve together, so their order can't matter. Counts of images, and of processes, add up.

Shapes: L levels of a score, in increasing order.
"""

import numpy as np

RECALL = 19, 20  # as a fraction, so that comparing counts with it is exact
BINS = 15  # of the calibration error


def area_under_precision_recall(positives: np.ndarray, negatives: np.ndarray) -> float:
    """Average precision without interpolation: the sum over levels, from the highest, of precision x gain in recall.

    It is scikit-learn's `average_precision_score`. The trapezoid over the same points would be too high (Davis and Goadrich, "The
    Relationship Between Precision-Recall and ROC Curves", ICML 2006).

    Args:
        positives, negatives: (L,) counts, with at least one positive.

    Returns:
        A number in 0..1.
    """
    hits, false_alarms = _at_or_above(positives), _at_or_above(negatives)
    precision = hits / np.maximum(hits + false_alarms, 1)
    return float((precision * positives[::-1]).sum() / hits[-1])


def area_under_roc(positives: np.ndarray, negatives: np.ndarray) -> float:
    """The share of pairs of a positive and a negative in which the positive scores higher; equal scores count as half.

    Args:
        positives, negatives: (L,) counts, with at least one of each.

    Returns:
        A number in 0..1.
    """
    hits = _at_or_above(positives).astype(np.float64)
    higher, equal = hits - positives[::-1], positives[::-1]  # positives above a level, and at it
    return float(((higher + equal / 2) * negatives[::-1]).sum() / (hits[-1] * negatives.sum()))


def false_positive_rate(positives: np.ndarray, negatives: np.ndarray) -> float:
    """The share of negatives at or above the highest level that 95 % of the positives reach.

    Others take the first level that more than 95 % reach, or interpolate; with few levels the results differ.

    Args:
        positives, negatives: (L,) counts, with at least one of each.

    Returns:
        A number in 0..1.
    """
    hits, false_alarms = _at_or_above(positives), _at_or_above(negatives)
    first = np.argmax(RECALL[1] * hits >= RECALL[0] * hits[-1])
    return float(false_alarms[first] / false_alarms[-1])


def expected_calibration_error(right: np.ndarray, wrong: np.ndarray) -> float:
    """The mean over pixels of |accuracy - confidence| of the pixel's bin, of 15 equal bins (Naeini et al., AAAI 2015).

    Args:
        right, wrong: (L,) counts, with at least one pixel. Level k stands for the confidence (k + 1/2) / L.

    Returns:
        A number in 0..1.
    """
    confidence = (np.arange(len(right)) + 0.5) / len(right)
    bins = (confidence * BINS).astype(int)
    gaps = np.bincount(bins, weights=right - (right + wrong) * confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / (right.sum() + wrong.sum()))


def _at_or_above(counts: np.ndarray) -> np.ndarray:
    """(L,) counts at each level -> counts at or above it, from the highest level to the lowest."""
    return counts[::-1].cumsum()
