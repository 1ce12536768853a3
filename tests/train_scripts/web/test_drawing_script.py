"""Colours, the overlay's pixels and the points of names, in node."""

import numpy as np


def test_instances_of_a_class_have_its_shades_in_turn(node):
    colors = [[[1, 1, 1], [2, 2, 2]], [[9, 9, 9]]]
    segments = [{"label": 0}, {"label": 1}, {"label": 0}, {"label": 0}]
    found = node("return drawing.segmentColors(given.segments, given.colors);", {"segments": segments, "colors": colors})
    assert found == [[1, 1, 1], [9, 9, 9], [2, 2, 2], [1, 1, 1]]


def test_the_overlay_enlarges_the_map_and_marks_edges(node):
    ids = np.array([[0, 0, 1], [0, 0, -1]])
    code = "return drawing.overlayPixels(given.ids, [2, 3], [[10, 0, 0], [20, 0, 0]], 4, given.chosen);"
    pixels, faint = (np.array(node(code, {"ids": ids.ravel().tolist(), "chosen": chosen})).reshape(8, 12, 4) for chosen in (-1, 1))
    assert pixels[1, 1].tolist() == [10, 0, 0, 255] and pixels[1, 9].tolist() == [20, 0, 0, 255]
    assert pixels[1, 7].tolist() == [255, 255, 255, 255]  # the last before segment 1
    assert pixels[6, 10].tolist() == [0, 0, 0, 150]  # void
    assert faint[1, 1, 3] < 128 and faint[1, 9, 3] == 255  # the chosen one stands out


def test_names_stand_inside_their_segments(node):
    """In the middle of a square, and inside an L although its centre is not."""
    ids = np.full((40, 60), -1)
    ids[5:26, 5:26] = 0
    ids[2:38, 35:41] = 1
    ids[32:38, 35:58] = 1
    points = node("return drawing.innerPoints(given, [40, 60], 2);", ids.ravel().tolist())
    assert (points[0]["x"], points[0]["y"], points[0]["room"]) == (15.5, 15.5, 10.5)
    assert ids[int(points[1]["y"]), int(points[1]["x"])] == 1
