"""MPM: pairs of tokens are merged that are each other's nearest.

Ravé, Rasti and Rousseau, CVPR 2026 (arXiv 2604.05718), by its abstract: no code was published. Here a merged token is the mean over
its patches and not over the pair. Shapes: `B` images, `n` patch tokens, `D` width.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from eomt.encoders.patch_tokens import Grouping


@dataclass(frozen=True)
class MPM:
    """
    Merging of mutual pairs, before blocks, which are counted from 1. There is no threshold.

    In a batch each image merges as many pairs as the image that has the fewest, the most similar ones.

    Args:
        blocks: before which pairs are merged.
    """

    blocks: tuple[int, ...] = (2, 5)

    def grouping(self, patches: Tensor, grid: tuple[int, int], block: int, attended: bool) -> Grouping | None:
        return pair_grouping(patches) if not attended and block in self.blocks else None


def pair_grouping(patches: Tensor) -> Grouping | None:
    """Mutual pairs to merge.

    Args:
        patches: (B, n, D).

    Returns:
        Groups in the order of their first tokens. None if in an image there is no pair.
    """
    batch, total, _ = patches.shape
    if total < 2:
        return None
    units = F.normalize(patches.float(), dim=2)
    cosines = units @ units.transpose(1, 2)  # (B, n, n)
    cosines.diagonal(dim1=1, dim2=2).fill_(-torch.inf)
    best, nearest = cosines.max(dim=2)  # (B, n)
    indices = torch.arange(total, device=patches.device).expand(batch, -1)
    mutual = (nearest.gather(1, nearest) == indices) & (nearest < indices)  # the later token of a pair
    count = int(mutual.sum(1).min())
    if count == 0:
        return None
    order = best.masked_fill(~mutual, -torch.inf).argsort(dim=1, descending=True, stable=True)
    joins = order.argsort(dim=1) < count
    first = torch.where(joins, nearest, indices)  # the token of each group that comes first
    groups = ((~joins).cumsum(1) - 1).gather(1, first)
    return Grouping(groups, total - count, neighbours=False)
