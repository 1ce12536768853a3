"""Less memory for training: what is large and cheap is computed again in the backward pass."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def recomputed(function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """`function(*inputs)`, of which a backward pass keeps the inputs alone.

    It suits activations and norms: a matrix product at the end of the function is not repeated, since its gradient needs its
    inputs alone.

    Args:
        function: without random numbers, of tensors to a tensor.
    """
    if not torch.is_grad_enabled():
        return function(*inputs)
    return checkpoint(function, *inputs, use_reentrant=False, preserve_rng_state=False)
