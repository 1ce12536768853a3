"""What the loss sums are divided by: the same for one large batch, accumulated batches and several processes."""

from collections.abc import Sequence

import torch
from torch import Tensor


def loss_normalizers(class_labels: Sequence[Tensor], num_queries: int, no_object_weight: float) -> Tensor:
    """What the loss sums of a batch are divided by: the number of masks, and the sum of class weights.

    Sums over micro-batches and processes, divided by the number of processes, are the divisors of the joint batch.

    Args:
        class_labels: B tensors (n,).
        num_queries: `Q`.
        no_object_weight: weight of a query without a segment; a matched query weighs 1.

    Returns:
        (2,) float32 on the host.
    """
    counts = [len(labels) for labels in class_labels]
    matched = sum(min(count, num_queries) for count in counts)
    unmatched = num_queries * len(counts) - matched
    return torch.tensor([float(sum(counts)), matched + no_object_weight * unmatched])


def divisor(count: Tensor) -> Tensor:
    """A number of masks, or a sum of weights, as the divisor of losses: 1 in place of 0, of which the loss is 0 and not 0 / 0.

    The mean of a few masks over more processes is below 1, and must stay so: gradients are divided by the processes once more.
    """
    return torch.where(count > 0, count, 1)
