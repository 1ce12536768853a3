"""Names of segments: inside where there is room, beside small segments, and never over one."""

import numpy as np
import pytest
from PIL import Image

from eomt.image_processing.name_tags import MOST_ALIKE, write_names

NAMES = ["cat", "sky"]


def written(ids: np.ndarray, classes: dict[int, int], names: list[str] = NAMES) -> np.ndarray:
    """The pixels that names have changed."""
    picture = Image.new("RGB", ids.shape[::-1], (90, 90, 90))
    write_names(picture, ids, classes, names)
    return (np.asarray(picture) != 90).any(-1)


def spots(*corners: tuple[int, int], size: int = 10) -> tuple[np.ndarray, dict[int, int]]:
    """Square segments of class 0 in a picture of 200 x 200, at (top, left)."""
    ids = np.zeros((200, 200), np.int32)
    for number, (top, left) in enumerate(corners, 1):
        ids[top : top + size, left : left + size] = number
    return ids, {number: 0 for number in range(1, len(corners) + 1)}


def test_a_name_lies_inside_a_large_segment():
    ids = np.full((80, 120), 7)
    ids[40:, :60], ids[40:, 60:] = 9, 0
    changed = written(ids, {7: 1, 9: 0})
    assert changed[:40].any() and changed[40:, :60].any() and not changed[40:, 60:].any()


@pytest.mark.parametrize("corner", [(95, 95), (95, 188), (0, 0), (188, 0), (188, 188)])
def test_a_name_lies_beside_a_small_segment(corner):
    ids, classes = spots(corner)
    changed = written(ids, classes)
    assert changed.any() and not changed[ids == 1].any()
    rows, cols = np.nonzero(changed)
    assert abs(rows.mean() - corner[0] - 5) < 20 and abs(cols.mean() - corner[1] - 5) < 40


def test_no_name_lies_over_another_small_segment_or_name():
    ids, classes = spots((95, 95), (95, 108), (95, 82))  # the one in the middle has neighbours right and left
    changed = written(ids, classes)
    assert changed.any() and not changed[ids > 0].any()
    alone = [written(*spots(corner)).sum() for corner in ((95, 95), (95, 108), (95, 82))]
    assert changed.sum() == pytest.approx(sum(alone), rel=0.1)  # all three, apart


def test_no_room_no_name():
    assert not written(*spots((95, 95), size=4)).any()  # too small to be seen
    assert not written(*spots(*[(20 * number, 90) for number in range(MOST_ALIKE + 1)])).any()  # too many of a class
    ids, classes = spots((95, 95))
    assert not written(ids, classes, ["a name that is longer than all of the picture is"]).any()
    scattered = np.zeros((200, 200), np.int32)
    scattered[::40, ::40] = 1
    assert not written(scattered, {1: 0}).any()


def test_any_picture_can_be_written_into():
    for shape in ((1, 1), (3, 50), (50, 3)):
        assert not written(np.ones(shape, np.int32), {1: 0, 2: 1}).any()
