"""Which detections of a class hit which objects, by the rules of COCO's evaluation.

Shapes: D detections and G objects of one class in one image; A = 4 ranges of area, T = 10 IoU thresholds.
"""

import numpy as np

THRESHOLDS = np.linspace(0.5, 0.95, 10)  # (T,)
RANGES = {"all": (0, 1e10), "small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e10)}  # pixels, both ends in


def outside(areas: np.ndarray) -> np.ndarray:
    """(G,) areas -> (A, G) bool, whether they are out of the range."""
    return np.stack([(areas < least) | (areas > most) for least, most in RANGES.values()])


def match_detections(
    ious: np.ndarray, found_areas: np.ndarray, true_areas: np.ndarray, is_crowd: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Each detection in turn takes the object of highest IoU that is left, among those that count before those that don't.

    Crowds and objects out of the area range don't count; a crowd may be taken by many. Of equal IoUs the last is taken.

    Args:
        ious: (D, G), the detections by falling score; with a crowd, the share of the detection that it covers.
        found_areas: (D,) pixels.
        true_areas: (G,) pixels.
        is_crowd: (G,) bool.

    Returns:
        `matched` and `ignored`, (D, A, T) bool: a detection is ignored where it took what doesn't count, or took nothing and is
        out of the area range itself.
    """
    ranges, thresholds = np.indices((len(RANGES), len(THRESHOLDS)))
    void = is_crowd | outside(true_areas)  # (A, G)
    left = np.ones((len(RANGES), len(THRESHOLDS), len(true_areas)), dtype=bool)
    matched = np.zeros((len(ious), *ranges.shape), dtype=bool)
    ignored = np.zeros_like(matched)
    for detection in np.flatnonzero((ious >= THRESHOLDS[0]).any(1)):
        fits = left & (ious[detection] >= THRESHOLDS[:, None])  # (A, T, G)
        counting = fits & ~void[:, None]
        fits = np.where(counting.any(2, keepdims=True), counting, fits)
        best = np.where(fits, ious[detection], -1)[..., ::-1].argmax(2)
        best = len(true_areas) - 1 - best  # (A, T)
        matched[detection] = fits.any(2)
        ignored[detection] = matched[detection] & void[ranges, best]
        left[ranges, thresholds, best] &= ~matched[detection] | is_crowd[best]
    ignored |= ~matched & outside(found_areas).T[..., None]
    return matched, ignored
