"""ALGM: windows of alike neighbours are merged in an early block, alike tokens anywhere in a later one.

Norouzi et al., "ALGM: Adaptive Local-then-Global Token Merging for Efficient Semantic Segmentation with Plain Vision Transformers",
CVPR 2024, as in its authors' code. Shapes: `B` images, `n` patch tokens, `D` width, `h, w` patches, `V` windows of 2x2 patches.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from eomt.encoders.patch_tokens import Grouping


@dataclass(frozen=True)
class ALGM:
    """
    Local, then global merging. Both come after the attention of their block. Blocks are counted from 1.

    In a batch each image merges as many windows, and later as many tokens, as the image that has the fewest to merge (paper,
    section A.3). Padding needs no care: its patches are the most alike, so they are merged first, and nothing is lost by it.

    Args:
        threshold: mean cosine of the patches of a 2x2 window from which on it becomes one token. Lower is faster.
        local_block: where windows are merged, or None for nowhere.
        global_block: where tokens are merged that are alike, with a threshold of their own: the mean of the highest cosines of half
            of the tokens with the other half, and their standard deviation divided by `global_block`. None for nowhere. The
            authors have 5, and 7 for ViT-L.

    Raises:
        ValueError: the threshold is no cosine, or the blocks are out of order.
    """

    threshold: float = 0.95
    local_block: int | None = 1
    global_block: int | None = 5

    def __post_init__(self):
        if not 0 <= self.threshold <= 1:
            raise ValueError(
                f"threshold={self.threshold} must lie in 0..1, as a cosine of similar patches; local_block=None merges no windows"
            )
        if self.local_block is not None and self.global_block is not None and self.local_block >= self.global_block:
            raise ValueError(
                f"local_block={self.local_block} must come before global_block={self.global_block}: windows are of the whole grid"
            )

    @property
    def blocks(self) -> tuple[int, ...]:
        return tuple(block for block in (self.local_block, self.global_block) if block is not None)

    def grouping(self, patches: Tensor, grid: tuple[int, int], block: int, attended: bool) -> Grouping | None:
        if attended and block == self.local_block:
            return local_grouping(patches, grid, self.threshold)
        if attended and block == self.global_block:
            return global_grouping(patches, block)
        return None


def local_grouping(patches: Tensor, grid: tuple[int, int], threshold: float) -> Grouping | None:
    """Windows of 2x2 patches to merge. An odd last row or column is in no window.

    Args:
        patches: (B, h * w, D).
        grid: `(h, w)`.
        threshold: of the mean cosine of two patches of a window.

    Returns:
        Groups with the merged windows first, the most similar one first of all, and the other patches after them, row by row.
        None if in an image no window is to be merged.
    """
    height, width = grid
    rows, columns = height // 2, width // 2
    units = F.normalize(patches.float(), dim=2).unflatten(1, grid)[:, : 2 * rows, : 2 * columns]
    sums = units.unflatten(1, (rows, 2)).unflatten(3, (columns, 2)).sum(dim=(2, 4))  # (B, h / 2, w / 2, D)
    cosines = (sums.square().sum(-1) - 4).flatten(1) / 12  # (B, V): a squared sum has 4 times 1 and each of 12 cosines
    count = int((cosines >= threshold).sum(1).min())
    if count == 0:
        return None
    order = cosines.argsort(dim=1, descending=True, stable=True)  # (B, V)
    ranks = order.argsort(dim=1)  # 0 for the most similar window
    # the window of each patch, by its rank, and past the last one for patches in none
    window_ranks = F.pad(
        ranks.unflatten(1, (rows, columns)).repeat_interleave(2, 1).repeat_interleave(2, 2),
        (0, width - 2 * columns, 0, height - 2 * rows),
        value=count,
    ).flatten(1)  # (B, h * w)
    merged = window_ranks < count
    groups = torch.where(merged, window_ranks, count - 1 + (~merged).cumsum(1))
    return Grouping(groups, height * width - 3 * count, neighbours=True)


def global_grouping(patches: Tensor, block: int) -> Grouping | None:
    """Tokens to merge with the most similar ones wherever these are. Every second token may join one of the others.

    Args:
        patches: (B, n, D).
        block: from 1. A later one merges more.

    Returns:
        Groups with the tokens that might have joined others but do not, and then these others, both in their order. None if in
        an image no token is to be merged.
    """
    units = F.normalize(patches.float(), dim=2)
    joining, joined = units[:, 1::2], units[:, ::2]  # the first token after the class token may be joined
    batch, num_joining, num_joined = len(units), joining.shape[1], joined.shape[1]
    if num_joining < 2:  # their standard deviation does not exist
        return None
    best, partners = (joining @ joined.transpose(1, 2)).max(dim=2)  # (B, n / 2)
    threshold = best.mean() + best.std(dim=1).mean() / block
    count = int((best >= threshold).sum(1).min())
    if count == 0:
        return None
    order = best.argsort(dim=1, descending=True, stable=True)
    merged = order.argsort(dim=1) < count
    kept = num_joining - count
    groups = torch.empty(batch, num_joining + num_joined, dtype=torch.int64, device=patches.device)
    groups[:, 1::2] = torch.where(merged, kept + partners, (~merged).cumsum(1) - 1)
    groups[:, ::2] = kept + torch.arange(num_joined, device=patches.device)
    return Grouping(groups, kept + num_joined, neighbours=False)
