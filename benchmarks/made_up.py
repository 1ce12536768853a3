"""Logits such as a trained model gives: with random weights, which find nothing, post-processing has no work."""

import torch
import torch.nn.functional as F
from torch import Tensor

QUERIES = 200


def made_up_logits(inputs: int, num_classes: int, segments: int = 14, side: int = 160) -> tuple[Tensor, Tensor]:
    """Mask logits (inputs, Q, side, side) and class logits (inputs, Q, C + 1) of 200 queries.

    `segments` queries are sure of their class, and their masks share out the image, as panoptic ones do. The others mostly say
    no-object, with class scores spread as those of a trained model. Half of them have a mask, a disc, and half have none.
    """
    generator = torch.Generator().manual_seed(0)
    rows, cols = torch.arange(side)[:, None], torch.arange(side)
    y, x, radius = torch.rand(3, QUERIES, 1, 1, generator=generator)
    outside = ((rows - y * side) ** 2 + (cols - x * side) ** 2).sqrt() - side * (0.02 + 0.2 * radius)  # of each query's disc
    nearest, second = outside[:segments].topk(2, dim=0, largest=False).values
    others = torch.where(outside[:segments] == nearest, second, nearest)  # of each segment, the nearest other one
    masks = torch.cat([(others - outside[:segments]) / 2, -outside[segments:]]).mul_(1.5).clamp_(-14, 10)
    rough = torch.randn(QUERIES, 1, 20, 20, generator=generator)
    masks += 2 * F.interpolate(rough, size=(side, side), mode="bicubic")[:, 0]
    masks[segments::2] -= 16
    foreground = 10 ** (-4.5 + 3.5 * torch.rand(QUERIES, 1, generator=generator))  # 3e-5 to .1, median .002
    foreground[:segments] = 0.97
    classes = torch.softmax(3 * torch.randn(QUERIES, num_classes, generator=generator), -1)
    classes[range(segments), torch.arange(segments) * 7 % num_classes] += 50  # the segments' queries are sure
    probs = torch.cat([foreground * classes / classes.sum(-1, keepdim=True), 1 - foreground], -1)
    return masks.expand(inputs, -1, -1, -1), probs.log().expand(inputs, -1, -1)
