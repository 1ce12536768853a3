"""Masked attention of queries to patches (paper, section 3.3, figure 3).

Shapes: `B` images, `Q` queries, `h, w` patches, `N = Q + prefix + h * w` tokens.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


@torch.no_grad()
def query_attention_mask(
    mask_logits: Tensor, grid: tuple[int, int], num_prefix_tokens: int, unmasked: Tensor | None = None
) -> Tensor:
    """What each query may attend to: every query and prefix token, and the patches inside its predicted mask.

    A query whose mask is empty keeps the other queries and the prefix. Rows of other tokens are not restricted and have none.

    Args:
        mask_logits: (B, Q, H', W'), resized to the patch grid bilinearly; positive is inside.
        grid: `(h, w)`.
        num_prefix_tokens: class and register tokens, which stand between queries and patches.
        unmasked: bool (B, Q), queries that may attend to all patches at this step.

    Returns:
        bool (B, 1, Q, N), shared by the heads.
    """
    patches = F.interpolate(mask_logits.float(), size=grid, mode="bilinear").flatten(2) > 0  # (B, Q, h * w)
    if unmasked is not None:
        patches = patches | unmasked[..., None]
    batch, queries, _ = patches.shape
    others = patches.new_ones(batch, queries, queries + num_prefix_tokens)
    return torch.cat([others, patches], dim=2)[:, None]
