"""Means of the loss terms over the steps between two logs."""

from collections.abc import Mapping

import torch
from torch import Tensor

from eomt.collectives import mean_over_processes


class LossTermMeans:
    """
    Adds the terms up on the device, and fetches them when the means are asked for, so that a step waits for nothing.

    A step's loss is the sum over its batches, since all of them have the same divisors.
    """

    def __init__(self):
        self._sums: dict[str, Tensor] = {}
        self._steps = 0

    def start_step(self) -> None:
        """Counts a step, before the terms of its batches are added."""
        self._steps += 1

    def add(self, terms: Mapping[str, Tensor]) -> None:
        """Adds the terms of one of the step's batches, scalars by name."""
        for name, term in terms.items():
            self._sums[name] = self._sums.get(name, 0) + term.detach()

    def take(self) -> dict[str, float]:
        """{term: mean over the steps since the last call and over all processes}; empty if there was no step.

        All processes must call this.
        """
        if not self._sums:
            return {}
        means = mean_over_processes(torch.stack(list(self._sums.values()))) / self._steps
        named = {name: round(mean, 4) for name, mean in zip(self._sums, means.tolist(), strict=True)}
        self._sums, self._steps = {}, 0
        return named
