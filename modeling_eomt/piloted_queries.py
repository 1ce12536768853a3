"""Mask-piloted queries: in training, labelled segments have an extra query each, whose attention masks are the true ones.

Zhang et al., "MP-Former: Mask-Piloted Transformer for Image Segmentation", CVPR 2023. Three things differ from it. In EoMT patches
attend to queries, so that no other token may attend to the extra ones. A query's content is a fixed random code of its class, no
learned embedding: nothing is stored. And true masks go where predicted ones go: a block whose masks are annealed has fewer of
both, and when no block is masked any more, there are no extra queries.

Shapes: `B` images, `P` extra queries, padded to the most of an image; `p` those of one image; `n` its segments; `N` other tokens;
`L2` blocks that may be masked; `h, w` patches; `D` width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from eomt.criterion.matcher import Matches
from eomt.criterion.targets import ImageTargets
from eomt.randomness import ImageDraws, key_of

SWAPPED = 0.2  # share of the classes that are replaced by random ones, so that the content alone doesn't give the class


@lru_cache(maxsize=4)
def class_codes(num_labels: int, width: int, device: torch.device) -> Tensor:
    """The contents of extra queries by class, (C, D), as random as new queries and the same in every run."""
    generator = torch.Generator().manual_seed(key_of("class codes", num_labels, width))
    return torch.randn(num_labels, width, generator=generator).to(device)


@dataclass(frozen=True)
class PilotedQueries:
    """
    The extra queries of a batch, which stand in front of all other tokens.

    Args:
        segments: B tensors (p,) on the host, the segment that each query is of.
        classes: (B, P), which the content says, some of them swapped.
        cells: bool (B, P, h * w), the patches that a query may attend to.
        unmasked: bool (L2, B, P), the queries that attend to all patches in a block, as masks are annealed.
        real: bool (B, P), False for padding.
    """

    segments: list[Tensor]
    classes: Tensor
    cells: Tensor
    unmasked: Tensor
    real: Tensor

    @property
    def most(self) -> int:
        """`P`."""
        return self.classes.shape[1]

    def join(self, tokens: Tensor, num_labels: int) -> Tensor:
        """Puts the queries in front: (B, N, D) -> (B, P + N, D)."""
        codes = class_codes(num_labels, tokens.shape[2], tokens.device)
        return torch.cat([codes[self.classes].to(tokens), tokens], dim=1)

    def attention_mask(self, block: int, num_tokens: int) -> Tensor:
        """What each of the queries may attend to in a block: those of its image, all other tokens, and patches of its true mask.

        Args:
            block: 0 for the earliest that may be masked.
            num_tokens: P + N.

        Returns:
            bool (B, 1, P, P + N), shared by the heads.
        """
        batch, most = self.real.shape
        pilots = self.real[:, None].expand(-1, most, -1)  # (B, P, P)
        patches = self.cells | self.unmasked[block][..., None]  # (B, P, h * w), the last of the tokens
        others = self.real.new_ones(batch, most, num_tokens - most - patches.shape[2])
        return torch.cat([pilots, others, patches], dim=2)[:, None]

    def matches(self, blocks: int) -> Matches:
        """Each query with its own segment in each of K predictions; `query` is the place among the P."""
        rows = []
        for image, segments in enumerate(self.segments):
            count = len(segments)
            block, query = torch.arange(blocks).repeat_interleave(count), torch.arange(count).repeat(blocks)
            rows.append(torch.stack([torch.full_like(block, image), block, query, segments.repeat(blocks)]))
        return Matches(*torch.cat(rows, dim=1))


class PilotedPrediction(NamedTuple):
    """What a network reads off piloted queries at one depth.

    Args:
        mask_logits: (B, P, h', w'), as large as those of other queries.
        class_logits: (B, P, C + 1), the no-object class last.
        queries: that they are of.
    """

    mask_logits: Tensor
    class_logits: Tensor
    queries: PilotedQueries


@dataclass(frozen=True)
class Piloting:
    """
    How a model in training has piloted queries.

    Args:
        limit: extra queries an image, at most; of more segments, as many at random.
        noise: patches are flipped in a true mask with this probability times the share of patches in it.
    """

    limit: int
    noise: float = 0.0

    def count(self, class_labels: Sequence[Tensor]) -> int:
        """Extra queries of a batch, when every block is masked: the divisor of their losses."""
        return sum(min(len(labels), self.limit) for labels in class_labels)

    @torch.compiler.disable  # their number is another in every batch
    @torch.no_grad()
    def draw(
        self,
        targets: Sequence[ImageTargets],
        class_labels: Sequence[Tensor],
        grid: tuple[int, int],
        probs: Sequence[float],
        num_labels: int,
        draws: ImageDraws,
    ) -> PilotedQueries | None:
        """
        Args:
            targets, class_labels: the segments of each image and their classes (n,), on the model's device.
            grid: `(h, w)`.
            probs: L2 probabilities of masking. A query whose number is above that of a block is unmasked there, and takes no part
                where it would be masked in no block.
            num_labels: `C`.
            draws: source of the random numbers.

        Returns:
            The queries, or None if no image has any at this step.
        """
        counts = [len(labels) for labels in class_labels]
        numbers = draws.uniform("piloted segments", counts, (4,), torch.device("cpu")).split(counts)  # B of (n, 4)
        segments = [self._chosen(of_image, max(probs)) for of_image in numbers]
        if not any(map(len, segments)):
            return None
        numbers = [of_image[chosen] for of_image, chosen in zip(numbers, segments, strict=True)]  # B of (p, 4)
        shown = [
            _swapped(labels[chosen.to(labels.device)], of_image[:, 2:].to(labels.device), num_labels)
            for labels, chosen, of_image in zip(class_labels, segments, numbers, strict=True)
        ]
        classes, device = pad_sequence(shown, batch_first=True), shown[0].device
        unmasked = pad_sequence([of_image[:, 1] for of_image in numbers], batch_first=True) >= torch.tensor(probs)[:, None, None]
        real = pad_sequence([torch.ones(len(chosen), dtype=torch.bool) for chosen in segments], batch_first=True)
        cells = self._cells(targets, segments, grid, draws)
        return PilotedQueries(segments, classes, cells, unmasked.to(device), real.to(device))

    def _chosen(self, numbers: Tensor, highest: float) -> Tensor:
        """Which segments of an image have a query, (p,), from their random numbers (n, 4)."""
        chosen = numbers[:, 0].argsort()[: self.limit].sort().values
        return chosen[numbers[chosen, 1] < highest]

    def _cells(
        self, targets: Sequence[ImageTargets], segments: Sequence[Tensor], grid: tuple[int, int], draws: ImageDraws
    ) -> Tensor:
        """True masks on the patch grid, bool (B, P, h * w)."""
        cells = [target.covered_cells(grid) for target in targets]
        cells = [of_image[chosen.to(of_image.device)] for of_image, chosen in zip(cells, segments, strict=True)]  # B of (p, h * w)
        if self.noise:
            counts = [len(of_image) for of_image in cells]
            numbers = draws.uniform("piloted cells", counts, (grid[0] * grid[1],), cells[0].device).split(counts)
            cells = [
                of_image ^ (drawn < self.noise * of_image.float().mean(1, keepdim=True))
                for of_image, drawn in zip(cells, numbers, strict=True)
            ]
        return pad_sequence(cells, batch_first=True)


def _swapped(labels: Tensor, numbers: Tensor, num_labels: int) -> Tensor:
    """Classes (p,) of which some are replaced, by numbers (p, 2): whether, and by which."""
    others = (numbers[:, 1] * num_labels).long().clamp(max=num_labels - 1)
    return torch.where(numbers[:, 0] < SWAPPED, others, labels)
