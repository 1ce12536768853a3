"""Sums over the processes of a distributed run."""

import torch
import torch.distributed as dist
from torch import Tensor


def mean_over_processes(sums: Tensor) -> Tensor:
    """Mean of a tensor over all processes, itself where there is only one. Every process must call it."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return sums
    sums = sums.clone()
    dist.all_reduce(sums)
    return sums / dist.get_world_size()


class _SumOverProcesses(torch.autograd.Function):
    """Every process's loss depends on every process's summand, so that gradients are summed as well."""

    @staticmethod
    def forward(_, summand: Tensor) -> Tensor:
        total = summand.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_, gradient: Tensor) -> Tensor:
        gradient = gradient.clone()
        dist.all_reduce(gradient)
        return gradient


def sum_over_processes(summand: Tensor) -> Tensor:
    """Sum of a tensor over all processes, through which gradients flow. Every process must call it, and go backward through it."""
    return _SumOverProcesses.apply(summand)
