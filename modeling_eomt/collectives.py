"""Sums over the processes of a distributed run."""

import torch.distributed as dist
from torch import Tensor


def mean_over_processes(sums: Tensor) -> Tensor:
    """Mean of a tensor over all processes, itself where there is only one. Every process must call it."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return sums
    sums = sums.clone()
    dist.all_reduce(sums)
    return sums / dist.get_world_size()
