"""Which of many planes can be the largest at some pixel of a strip of rows, told before they are upsampled.

Upsampling takes means of a few neighbouring values, so that each pixel lies between the extremes of those.

Shapes: n planes, r, w values of a strip.
"""

import torch
import torch.nn.functional as F

SLACK = 1e-5  # bounds are rounded
TILE = 8  # columns


def tile_extremes(strip: torch.Tensor, support: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The least and the greatest value of each plane in each tile of a strip, both (n, tiles).

    Args:
        strip: (n, r, w).
        support: successive columns that a pixel depends on at most. Tiles overlap, so that they are together in one of them.
    """
    width = min(TILE + support - 1, strip.shape[2])
    greatest, least = (F.max_pool1d(edge, width, TILE, ceil_mode=True) for edge in (strip.amax(1), -strip.amin(1)))
    return -least, greatest


def may_win(least: torch.Tensor, greatest: torch.Tensor) -> torch.Tensor:
    """bool (n,): the planes which in some tile reach what another one has everywhere in it."""
    return (greatest >= least.amax(0) - SLACK).any(1)
