"""How sure a model is at each pixel, from the scores of all classes there.

A mask classifier's class scores (Cheng et al., MaskFormer, NeurIPS 2021) are sums over queries of class probability x mask
probability. They add up to 1 at no pixel in particular: to less where no mask lies, and to more where masks overlap. Out-of-
distribution detection ranks pixels by functions of them. Each function here is a confidence in 0..1 on a scale that is the same for
all images, so that pixels of many images can be pooled; an anomaly is where it is low.

Shapes: C classes, k of these classes, H, W pixels.
"""

import math
from collections.abc import Callable

import torch

LEVELS = 1 << 16  # of confidences in files of 16 bits, and in histograms
TINY = torch.finfo(torch.float32).tiny  # sums of scores below it divide nothing


def class_probabilities(scores: torch.Tensor) -> torch.Tensor:
    """(C, H, W) scores of all classes -> the same divided by their sum at each pixel, which overwrites them.

    Where all scores are 0, all classes are equally probable.
    """
    total = scores.sum(0)
    return scores.div_(total.clamp(min=TINY)).masked_fill_(total < TINY, 1 / len(scores))


def max_confidence(scores: torch.Tensor, num_classes: int) -> torch.Tensor:
    """The largest class score; 1 where it exceeds 1, as it may where several queries have one mask."""
    return scores.amax(0).clamp_(max=1)


def msp_confidence(scores: torch.Tensor, num_classes: int) -> torch.Tensor:
    """The largest class probability ("maximum softmax probability", Hendrycks and Gimpel, ICLR 2017)."""
    total = scores.sum(0)
    return scores.amax(0).div_(total.clamp(min=TINY)).masked_fill_(total < TINY, 1 / num_classes)


def entropy_confidence(scores: torch.Tensor, num_classes: int) -> torch.Tensor:
    """1 - H / ln C, where H is the entropy of the class probabilities in nats and ln C the largest one that C classes have."""
    total = scores.sum(0)
    entropy = torch.special.entr(scores / total.clamp(min=TINY)).sum(0)
    return (1 - entropy / math.log(num_classes)).clamp_(0, 1).masked_fill_(total < TINY, 0)


def rba_confidence(scores: torch.Tensor, num_classes: int) -> torch.Tensor:
    """r / (1 + r) with r = sum_c tanh(S_c), whose negative is the score "rejected by all" (Nayal et al., ICCV 2023).

    r is near 0 where no query of a known class has its mask. It has no upper bound, which the quotient gives it.
    """
    accepted = scores.tanh().sum(0)
    return accepted / (1 + accepted)


# (k, H, W) scores of the classes that have any, and C -> (H, W)
CONFIDENCES: dict[str, Callable[[torch.Tensor, int], torch.Tensor]] = {
    "max": max_confidence,
    "entropy": entropy_confidence,
    "msp": msp_confidence,
    "rba": rba_confidence,
}


def check_confidence(name: str | None, num_classes: int) -> None:
    """
    Raises:
        ValueError: there is no confidence of that name, or it compares classes and there is one. None asks for none.
    """
    if name is not None and name not in CONFIDENCES:
        raise ValueError(f"output_confidence={name!r} is unknown; choose one of {', '.join(CONFIDENCES)}, or None.")
    if num_classes == 1 and name in ("entropy", "msp"):
        raise ValueError(f"output_confidence={name!r} compares classes, and the model has one; choose max or rba.")


def confidence_levels(confidence: torch.Tensor) -> torch.Tensor:
    """Confidences in 0..1 -> int32 levels 0..65535, of equal width, as files of 16 bits and histograms have them."""
    return (confidence * LEVELS).clamp_(0, LEVELS - 1).to(torch.int32)
