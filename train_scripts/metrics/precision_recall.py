"""The area under the precision-recall curve of one class, as in COCO's evaluation.

Shapes: D detections of a class over all images.
"""

import numpy as np

RECALLS = np.linspace(0, 1, 101)


def average_precision(hits: np.ndarray, misses: np.ndarray, objects: int) -> float:
    """The mean of the interpolated precision over 101 recalls.

    The interpolated precision at a recall is the highest precision at that recall or a higher one. It is 0 beyond the highest
    recall reached.

    Args:
        hits, misses: (D,) bool, by falling score: whether a detection is right, or wrong. An ignored one is neither.
        objects: how many there are to detect, at least 1.

    Returns:
        A number in 0..1.
    """
    right, wrong = hits.cumsum(), misses.cumsum()
    precision = right / np.maximum(right + wrong, 1)
    interpolated = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return float(interpolated[np.searchsorted(right / objects, RECALLS)].mean())
