"""Average precision of a class from its detections, as in COCO's evaluation."""

import numpy as np

RECALLS = np.linspace(0, 1, 101)


def average_precision(hits: np.ndarray, misses: np.ndarray, objects: int) -> float:
    """The mean over 101 recalls of the highest precision at that recall or a higher one; 0 beyond the highest recall reached.

    Args:
        hits, misses: (D,) bool, whether a detection, by falling score, is right or wrong; ignored ones are neither.
        objects: how many there are to find, at least 1.
    """
    right, wrong = hits.cumsum(), misses.cumsum()
    precision = right / np.maximum(right + wrong, 1)
    best = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return float(best[np.searchsorted(right / objects, RECALLS)].mean())
