"""What a network reads off its tokens at one depth.

Shapes: `B` images, `Q` queries, `C` classes, `D` width of the masks' features, `h, w` their size, `M` matched masks.
"""

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from eomt.piloted_queries import PilotedPrediction


class Prediction(NamedTuple):
    """
    Masks and classes of all queries.

    Args:
        mask_logits: (B, Q, h, w).
        class_logits: (B, Q, C + 1), the no-object class last.
        embeddings, features: (B, Q, D) and (B, D, h, w), if the mask logits are their product.
        piloted: what was read off the piloted queries beside these, in a training step that has some.
    """

    mask_logits: Tensor
    class_logits: Tensor
    embeddings: Tensor | None = None
    features: Tensor | None = None
    piloted: "PilotedPrediction | None" = None

    def masks_of(self, image: Tensor, query: Tensor) -> Tensor:
        """Mask logits of some queries, through which a loss reaches the network.

        They are multiplied anew where the factors are known: the gradient of `mask_logits[image, query]` is zero for all other
        queries, and would yet be multiplied by the features.

        Args:
            image, query: (M,) indices on the host, in ascending order of the image.

        Returns:
            (M, h, w).
        """
        if self.embeddings is None or self.features is None:
            return self.mask_logits[image, query]
        images = len(self.embeddings)
        counts = image.bincount(minlength=images)
        slot = torch.arange(len(image)) - (counts.cumsum(0) - counts)[image]  # among the matches of its image
        chosen = self.embeddings.new_zeros(images, int(counts.max()), self.embeddings.shape[2])  # (B, slots, D)
        chosen = chosen.index_put((image, slot), self.embeddings[image, query])
        products = self.features.permute(0, 2, 3, 1).flatten(1, 2) @ chosen.transpose(1, 2)  # (B, h * w, slots)
        return products.transpose(1, 2)[image, slot].unflatten(1, self.features.shape[2:])


def joined(predictions: list[Prediction]) -> Prediction:
    """One prediction of several batches' images."""
    return Prediction(*(None if None in fields else torch.cat(fields) for fields in zip(*predictions, strict=True)))
