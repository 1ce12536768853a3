"""Masked attention of queries to patches, and the probabilities with which it is applied (paper, section 3.3, figures 3 and 4).

Shapes: `B` images, `Q` queries, `h, w` patches, `N = Q + prefix + h * w` tokens.
"""

from collections.abc import Callable, Sequence
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedConfig
from transformers import initialization as init

from eomt.initialization import InitializedModule


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


class MaskingProbabilities(InitializedModule):
    """
    Holds the probability of masked attention in each block with queries, as a persistent buffer that follows stock's format.

    In training, block `i` is masked for a query of an image with probability `attn_mask_probs[i]`. In evaluation it is masked
    always (from a probability of .5) or never. A forward pass asks [`is_masked`], a plain boolean on the host: a compiled or
    exported graph may branch on it, and no pass waits for the device to read the buffer.

    Change the probabilities with [`set_attn_mask_probs`], or write to the buffer: the next pass that isn't compiled reads it. On a
    GPU it does so after writes that PyTorch counts: operations in place and another tensor in its place, but not writes through
    `.data` or through a view of another library.
    """

    attn_mask_probs: Tensor  # (L2,) float32

    def init_masking(self, num_blocks: int) -> None:
        """Registers the buffer, with every block masked. A constructor calls it once."""
        self.register_buffer("attn_mask_probs", torch.ones(num_blocks, dtype=torch.float32))
        self._masked_blocks = [True] * num_blocks
        self._buffer_state: tuple | None = None  # of the buffer, when `_masked_blocks` was read from it
        self.register_load_state_dict_post_hook(_refresh_after_loading)

    def initialize_tensors(self, config: PreTrainedConfig) -> None:
        init.ones_(self.attn_mask_probs)

    def is_masked(self, block: int) -> bool:
        """Whether any query may be masked in a block, 0 being the earliest with queries."""
        return self._masked_blocks[block]

    @torch.no_grad()
    def set_attn_mask_probs(self, probs: Sequence[float] | Tensor) -> None:
        """Sets the probability of masking in each of the last blocks.

        Args:
            probs: L2 numbers in [0, 1], the earliest block's first.

        Raises:
            ValueError: for another count or a number outside [0, 1].
        """
        probs = torch.as_tensor(probs, dtype=torch.float32)
        if probs.shape != self.attn_mask_probs.shape or not bool(((probs >= 0) & (probs <= 1)).all()):
            raise ValueError(f"probs={probs.tolist()} must be {len(self.attn_mask_probs)} numbers in [0, 1], one a block")
        self.attn_mask_probs.copy_(probs)
        self.refresh_masked_blocks()

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.refresh_masked_blocks()
        return self

    def refresh_masked_blocks(self) -> None:
        """Reads the buffer: on a GPU where its storage, its version or the mode is another than at the last reading.

        Reading makes the host wait for the device, so it is left out otherwise.
        """
        probs = self.attn_mask_probs
        if probs.is_meta:
            return
        # read every time: an inference tensor, which has no version counter, and on the CPU, where nothing is waited for
        state = None if probs.is_cpu or probs.is_inference() else (probs.data_ptr(), probs._version, self.training)
        if state is not None and state == self._buffer_state:
            return
        lowest = 0.0 if self.training else 0.5
        self._masked_blocks = [p > 0 and p >= lowest for p in probs.tolist()]
        self._buffer_state = state

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Moves and casts everything but the float32 of `attn_mask_probs`: .9995 would round to 1 in bfloat16."""
        probs = self.attn_mask_probs
        super()._apply(fn, recurse)
        if self.attn_mask_probs.dtype != probs.dtype and not probs.is_meta:
            self.attn_mask_probs = probs.to(self.attn_mask_probs.device)
        return self


def _refresh_after_loading(model: MaskingProbabilities, _) -> None:
    model.refresh_masked_blocks()  # a function of the module, since a model with a lambda can't be pickled
