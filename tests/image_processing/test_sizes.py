"""Sizes that images are resized to, and the windows that cover them."""

import pytest

from eomt.image_processing.sizes import split


@pytest.mark.parametrize("side", [1, 112, 224, 448, 480, 640, 800])
def test_windows_cover_the_long_side_to_its_end(side):
    """In floating point, four windows of 224 end a pixel early for ten lengths from 675 to 702."""
    for long_side in range(side, 5 * side + 3):
        windows = split((side, long_side), side)
        assert windows[0][0] == 0 and windows[-1][1] == max(long_side, side)
        assert all(second[0] <= first[1] for first, second in zip(windows, windows[1:], strict=False))
        assert (len(windows) - 1) * side < long_side or len(windows) == 1  # one less would not do
