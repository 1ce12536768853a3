"""The patches among a model's tokens: a token each, or fewer where similar ones are merged during a forward pass.

Shapes: `B` images, `N` tokens, `n` patch tokens, `m` patch tokens after a merge, `h, w` patches, `D` width, `E` width of a head.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from eomt.encoders.rotary import Rotation


class Grouping(NamedTuple):
    """Which patch tokens become one.

    Args:
        groups: (B, n) int64, the group of each token.
        count: m, of the groups, each of which has a token or more. It is the same for all images.
        neighbours: whether the tokens of a group lie side by side.
    """

    groups: Tensor
    count: int
    neighbours: bool


class MergingMethod(Protocol):
    """What decides which tokens are merged, such as `eomt.token_merging.ALGM`."""

    @property
    def blocks(self) -> tuple[int, ...]:
        """The blocks in which tokens are merged, from 1."""

    def grouping(self, patches: Tensor, grid: tuple[int, int], block: int, attended: bool) -> Grouping | None:
        """
        Args:
            patches: (B, n, D), the patch tokens, row by row as long as none is merged.
            grid: `(h, w)`.
            block: from 1.
            attended: whether the block has applied its attention, or nothing yet.

        Returns:
            What to merge, or None for nothing.
        """


@dataclass(frozen=True)
class TokenMerging:
    """How a model merges tokens.

    Args:
        method: decides which.
        proportional: whether a token of k patches weighs as much as k keys, by ln(k) on its attention scores (Bolya et al., "Token
            Merging: Your ViT But Faster", section 3).
    """

    method: MergingMethod
    proportional: bool


class PatchTokens:
    """
    The patch tokens of a forward pass, which are always the last of the N tokens. Class, register and query tokens are in front.

    Args:
        grid: `(h, w)`.
        rotation: of the patches, where the encoder has rotary positions.
        merging: how they are merged, or None.

    Attributes:
        rotation: of the n patch tokens. Tokens merged side by side have the mean of their positions, others that of the token
            with the most patches: the mean of distant positions would be one that no patch has.
        key_bias: (B, 1, 1, n), what the attention adds to the scores of these keys, or None.
    """

    def __init__(self, grid: tuple[int, int], rotation: Rotation | None, merging: TokenMerging | None = None):
        self.grid, self.rotation, self.merging = grid, rotation, merging
        self.key_bias: Tensor | None = None
        self._count = grid[0] * grid[1]  # n
        self._sizes: Tensor | None = None  # (B, n), the patches of each token, once some are merged
        self._token_of_patch: Tensor | None = None  # (B, h * w), indices below n

    def merge_in(self, block: int) -> Callable[[Tensor], Tensor] | None:
        """What a block, counted from 1, is to apply between attention and feed-forward network."""
        return None if self.merging is None else partial(self.merged, block=block, attended=True)

    def merged(self, tokens: Tensor, block: int, attended: bool) -> Tensor:
        """Merges what the method finds alike at this point.

        Args:
            tokens: (B, N, D).
            block: from 1.
            attended: whether the block has applied its attention.

        Returns:
            (B, N - n + m, D), patch tokens of a group as the mean over their patches.
        """
        if self.merging is None:
            return tokens
        others, patches = self._split(tokens)
        with torch.no_grad(), torch.autocast(tokens.device.type, enabled=False):
            grouping = self.merging.method.grouping(patches, self.grid, block, attended)
        if grouping is None:
            return tokens
        sizes = patches.new_ones(patches.shape[:2], dtype=torch.float32) if self._sizes is None else self._sizes
        merged_sizes = group_sums(sizes[..., None], grouping.groups, grouping.count)  # (B, m, 1)
        means = group_sums(patches * sizes[..., None], grouping.groups, grouping.count) / merged_sizes
        if self.rotation is not None:
            self.rotation = _merged_rotation(self.rotation, grouping, sizes)
        self._count, self._sizes = grouping.count, merged_sizes[..., 0]
        if self._token_of_patch is None:
            self._token_of_patch = grouping.groups
        else:
            self._token_of_patch = grouping.groups.gather(1, self._token_of_patch)
        if self.merging.proportional:
            self.key_bias = self._sizes.log()[:, None, None]
        return torch.cat([others, means.to(tokens.dtype)], dim=1)

    def restored(self, tokens: Tensor) -> Tensor:
        """Gives each patch the values of its token: (B, N, D) -> (B, N - n + h * w, D)."""
        if self._token_of_patch is None:
            return tokens
        others, patches = self._split(tokens)
        return torch.cat([others, take(patches, self._token_of_patch)], dim=1)

    def grouped(self, tokens: Tensor) -> Tensor:
        """Merges patches by the groups that they have: (B, N - n + h * w, D) -> (B, N, D), the inverse of [`restored`]."""
        if self._token_of_patch is None:
            return tokens
        num_patches = self.grid[0] * self.grid[1]
        others, patches = tokens.split([tokens.shape[1] - num_patches, num_patches], dim=1)
        means = group_sums(patches, self._token_of_patch, self._count) / self._sizes[..., None]
        return torch.cat([others, means.to(tokens.dtype)], dim=1)

    def _split(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N, D) -> (B, N - n, D) and (B, n, D), the patch tokens."""
        num_others = tokens.shape[1] - self._count
        return tokens[:, :num_others], tokens[:, num_others:]


def group_sums(values: Tensor, groups: Tensor, count: int) -> Tensor:
    """Sums over the tokens of each group: (B, n, D) and groups (B, n) below `count` -> (B, count, D), float32."""
    rows = groups + count * torch.arange(len(groups), device=groups.device)[:, None]
    sums = values.new_zeros(len(groups) * count, values.shape[2], dtype=torch.float32)
    return sums.index_add_(0, rows.flatten(), values.flatten(0, 1).float()).unflatten(0, (len(groups), count))


def take(values: Tensor, indices: Tensor) -> Tensor:
    """Tokens by their indices in an image: (B, n, D) and (B, k) -> (B, k, D). Much faster than `gather` on expanded indices."""
    rows = indices + values.shape[1] * torch.arange(len(values), device=values.device)[:, None]
    return values.flatten(0, 1).index_select(0, rows.flatten()).unflatten(0, indices.shape)


def _merged_rotation(rotation: Rotation, grouping: Grouping, sizes: Tensor) -> Rotation:
    """The rotation of the groups; sizes (B, n) are those of the tokens before the merge."""
    groups, count, neighbours = grouping
    angles = rotation.angles[:, 0].expand(len(groups), -1, -1)  # (B, n, E)
    if neighbours:  # angles are linear in the coordinates: their mean is the angle of the mean position
        weights = sizes[..., None]
        angles = group_sums(angles * weights, groups, count) / group_sums(weights, groups, count)
    else:
        angles = take(angles, _largest(groups, count, sizes))
    return Rotation.by(angles[:, None], rotation.partner)


def _largest(groups: Tensor, count: int, sizes: Tensor) -> Tensor:
    """(B, count), the token with the most patches in each group, the first of several."""
    total = sizes.shape[1]
    indices = torch.arange(total, device=sizes.device)
    ranks = sizes.long() * total + (total - 1 - indices)  # (B, n), higher for more patches and for earlier tokens
    highest = ranks.new_zeros(len(groups), count).scatter_reduce_(1, groups, ranks, "amax")
    return total - 1 - highest % total
