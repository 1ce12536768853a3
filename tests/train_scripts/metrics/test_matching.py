"""The rules of COCO's matching, one by one; all together are compared with pycocotools in test_average_precision."""

import numpy as np

from eomt.train_scripts.metrics.matching import IOU_THRESHOLDS, match_detections, outside_ranges

MEDIUM = 50.0**2  # pixels


def matched(ious: list[list[float]], crowd: list[bool], object_areas=None, detected_areas=None) -> tuple[np.ndarray, np.ndarray]:
    ious = np.array(ious)
    object_areas = np.full(ious.shape[1], MEDIUM) if object_areas is None else np.array(object_areas)
    detected_areas = np.full(ious.shape[0], MEDIUM) if detected_areas is None else np.array(detected_areas)
    return match_detections(ious, detected_areas, object_areas, np.array(crowd, dtype=bool))


def test_ranges_include_both_ends():
    assert outside_ranges(np.array([32**2, 96**2, 1, 1e6])).tolist() == [
        [False] * 4,
        [False, True, False, True],
        [False, False, True, True],
        [True, False, True, False],
    ]


def test_an_iou_equal_to_the_threshold_matches():
    hits, _ = matched([[IOU_THRESHOLDS[3]]], [False])
    assert hits[0, 0].tolist() == [True] * 4 + [False] * 6


def test_the_highest_iou_is_taken_and_what_is_taken_is_gone():
    hits, _ = matched([[0.6, 0.9], [0.1, 0.8]], [False, False])
    assert hits[0, 0].sum() == 9 and not hits[1].any()


def test_of_equal_ious_the_last_is_taken():
    hits, _ = matched([[0.7, 0.7], [0.0, 0.9]], [False, False])
    assert not hits[1, 0, :5].any() and hits[1, 0, 5:9].all()  # up to .7 the first detection has taken the second object


def test_what_counts_comes_before_a_crowd_of_higher_iou_which_many_may_take():
    hits, ignored = matched([[1.0, 0.6], [1.0, 0.5], [0.9, 0.5]], [True, False])
    assert hits[0, 0].all() and ignored[0, 0].tolist() == [False] * 3 + [True] * 7  # .5, .55 and .6 by the object
    assert hits[1, 0].all() and ignored[1, 0].all()
    assert ignored[2, 0].tolist() == [True] * 9 + [False]


def test_objects_and_misses_out_of_the_area_range_are_ignored():
    hits, ignored = matched([[1.0, 0.0], [0.0, 0.0]], [False, False], object_areas=[100, MEDIUM], detected_areas=[MEDIUM, 100])
    assert hits[0].all() and not hits[1].any()
    assert ignored[0].all(1).tolist() == [False, False, True, True]  # its object is small
    assert ignored[1].all(1).tolist() == [False, False, True, True]  # it is small itself


def test_nothing_to_match():
    hits, ignored = matched(np.zeros((2, 0)), [], object_areas=[])
    assert not hits.any() and ignored.all(2).tolist() == [[False, True, False, True]] * 2
