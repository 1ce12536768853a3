"""Whether a graph gives what the model gives.

Shapes: B images, Q queries, C classes, H, W pixels, h, w of the mask logits.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

TOLERANCE = 1e-4  # of logits, as a share of the largest one where that exceeds 1; float32 differs by about 1e-6
Model = Callable[..., Any]  # pixel_values=(B, 3, H, W) -> outputs


class Agreement(NamedTuple):
    """
    Args:
        difference: the largest, of class and mask logits.
        largest: the largest logit of the model, by its size.
        same_class: the share of pixels, at the size of the masks, that have the same class.
        inputs: batches that were compared.
    """

    difference: float
    largest: float
    same_class: float
    inputs: int

    @property
    def within_tolerance(self) -> bool:
        return self.difference <= TOLERANCE * max(1.0, self.largest)


@torch.no_grad()
def agreement(graph: Model, model: Model, inputs: Sequence[Tensor]) -> Agreement:
    """Compares a graph with its model on batches, (B, 3, H, W) each."""
    differences, sizes, same = [], [], []
    for pixel_values in inputs:
        outputs, expected = graph(pixel_values=pixel_values), model(pixel_values=pixel_values)
        for name in ("class_queries_logits", "masks_queries_logits"):
            differences.append((outputs[name] - expected[name]).abs().max())
            sizes.append(expected[name].abs().max())
        same.append((pixel_classes(outputs) == pixel_classes(expected)).double().mean())
    # a maximum in PyTorch is not a number where one of its values isn't; one in Python may be
    difference, largest = (torch.stack(values).max().item() for values in (differences, sizes))
    return Agreement(difference, largest, torch.stack(same).mean().item(), len(inputs))


def check_agreement(compared: Agreement) -> None:
    """Raises ValueError where a graph and its model differ by more than rounding."""
    if not compared.within_tolerance:
        raise ValueError(
            f"the exported graph differs from the model by {compared.difference:.2g}, where logits reach {compared.largest:.3g}; "
            "nothing was written. Report it with the versions in `pip freeze`"
        )


def pixel_classes(outputs: Any) -> Tensor:
    """The class with the highest score at each pixel, (B, h, w)."""
    scores = torch.einsum(
        "bqc,bqhw->bchw", outputs.class_queries_logits.softmax(-1)[..., :-1], outputs.masks_queries_logits.sigmoid()
    )
    return scores.argmax(1)


def other_sizes(inputs: Sequence[Tensor], multiples: tuple[int, int]) -> list[Tensor]:
    """Two images in one batch, and a size that none of the inputs has: what a graph may have been traced into by mistake.

    Args:
        inputs: (B, 3, H, W) each, at least one.
        multiples: `(height, width)` of which sides are multiples, pixels.
    """
    first = inputs[0][:1]
    size = [side + count * multiple for side, count, multiple in zip(first.shape[-2:], (1, 2), multiples, strict=True)]
    resized = F.interpolate(first, size=size, mode="bilinear")
    return [resized, torch.cat([first, first.flip(-1)])]
