"""No plane is left out that wins a pixel after upsampling."""

import pytest
import torch
import torch.nn.functional as F

from eomt.image_processing.bounds import TILE, may_win, tile_extremes


@pytest.mark.parametrize("width", [1, 2, TILE + 1, TILE + 2, 3 * TILE - 1, 5 * TILE])
@pytest.mark.parametrize("seed", range(5))
def test_winners_are_among_those_that_may_win(width, seed):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(12, 1, 2, max(1, width // 6), generator=generator) * 3
    strip = F.interpolate(coarse, size=(4, width), mode="bilinear")[:, 0]
    upsampled = F.interpolate(strip[None], size=(11, 3 * width + 2), mode="bilinear")[0]
    chosen = may_win(*tile_extremes(strip, support=2))
    assert chosen[upsampled.argmax(0).unique()].all()


def test_extremes_are_those_of_all_neighbours():
    """Each `support` successive columns lie in one tile, whose extremes enclose them."""
    for width in range(1, 4 * TILE):
        strip = torch.randn(1, 2, width)
        least, greatest = tile_extremes(strip, support=3)
        for first in range(width):
            tile = min(first // TILE, least.shape[1] - 1)
            values = strip[:, :, first : first + 3]
            assert least[0, tile] <= values.min() and greatest[0, tile] >= values.max()


def test_losers_are_left_out():
    strip = torch.zeros(3, 2, 40)
    strip[0, :, :20], strip[1, :, 12:] = 5, 5  # the third wins nowhere, and in no tile do two others share its place
    assert may_win(*tile_extremes(strip, support=2)).tolist() == [True, True, False]


def test_equal_planes_are_all_kept():
    strip = torch.ones(3, 2, 20)
    strip[2] -= 1e-3
    assert may_win(*tile_extremes(strip, support=2)).tolist() == [True, True, False]
