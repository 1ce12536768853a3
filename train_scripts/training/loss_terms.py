"""Means of the loss terms over the steps between two logs."""

from collections.abc import Mapping

import torch
from torch import Tensor

from eomt.collectives import mean_over_processes


class LossTermMeans:
    """Adds up on the device, and fetches only when asked for the means."""

    def __init__(self):
        self._sums: dict[str, Tensor] = {}
        self._steps = 0

    def start_step(self) -> None:
        self._steps += 1

    def add(self, terms: Mapping[str, Tensor]) -> None:
        """Scalars of one of the step's batches, whose sum is the step's loss."""
        for name, term in terms.items():
            self._sums[name] = self._sums.get(name, 0) + term.detach()

    def take(self) -> dict[str, float]:
        """The means since the last call, over all processes, which must all call."""
        if not self._sums:
            return {}
        means = mean_over_processes(torch.stack(list(self._sums.values()))) / self._steps
        named = {name: round(mean, 4) for name, mean in zip(self._sums, means.tolist(), strict=True)}
        self._sums, self._steps = {}, 0
        return named
