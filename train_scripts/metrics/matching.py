"""Matching of detections to annotated objects, by the rules of COCO's evaluation.

Shapes: D detections and G objects of one class in one image; A = 4 ranges of area, T = 10 IoU thresholds.
"""

import numpy as np

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)  # (T,)
AREA_RANGES = {"all": (0, 1e10), "small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, 1e10)}  # pixels, both ends in


def outside_ranges(areas: np.ndarray) -> np.ndarray:
    """(G,) areas in pixels -> (A, G) bool, whether an area is outside a range."""
    return np.stack([(areas < least) | (areas > most) for least, most in AREA_RANGES.values()])


def match_detections(
    ious: np.ndarray, detected_areas: np.ndarray, object_areas: np.ndarray, is_crowd: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Greedy matching: the detection of highest score chooses first.

    A detection takes the free object of highest IoU. Of equal IoUs it takes the last, as pycocotools does. Objects that count
    come before crowds and objects outside the area range, which don't count. An object is taken once, a crowd any number of times.

    Args:
        ious: (D, G), detections by falling score; with a crowd, the share of the detection that the crowd covers.
        detected_areas: (D,) pixels.
        object_areas: (G,) pixels.
        is_crowd: (G,) bool.

    Returns:
        `matched` and `ignored`, (D, A, T) bool. A detection is ignored if it took an object that doesn't count. It is also
        ignored if it took none and its area is outside the range.
    """
    ranges, thresholds = np.indices((len(AREA_RANGES), len(IOU_THRESHOLDS)))
    uncounted = is_crowd | outside_ranges(object_areas)  # (A, G)
    free = np.ones((len(AREA_RANGES), len(IOU_THRESHOLDS), len(object_areas)), dtype=bool)  # (A, T, G)
    matched = np.zeros((len(ious), *ranges.shape), dtype=bool)
    ignored = np.zeros_like(matched)
    # detections below the lowest threshold match nothing at any
    for detection in np.flatnonzero((ious >= IOU_THRESHOLDS[0]).any(1)):
        candidates = free & (ious[detection] >= IOU_THRESHOLDS[:, None])  # (A, T, G)
        counted = candidates & ~uncounted[:, None]
        candidates = np.where(counted.any(2, keepdims=True), counted, candidates)
        # argmax gives the first of equal values: reversed, it gives the last
        best = np.where(candidates, ious[detection], -1)[..., ::-1].argmax(2)
        best = len(object_areas) - 1 - best  # (A, T)
        matched[detection] = candidates.any(2)
        ignored[detection] = matched[detection] & uncounted[ranges, best]
        free[ranges, thresholds, best] &= ~matched[detection] | is_crowd[best]
    ignored |= ~matched & outside_ranges(detected_areas).T[..., None]
    return matched, ignored
