"""Multiply-adds of a forward pass with merged tokens, from the numbers of tokens that each block had."""

from functools import cache, partial

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedConfig

from eomt.mask_classifier import MaskClassifier
from eomt.model_cards.sizes import FORMULAS, count_multiply_adds, on_meta
from eomt.token_merging import ALGM, MPM


class TokenCounter:
    """
    Notes how many tokens each block has.

    Attributes:
        attended, fed: of the last forward pass, the tokens in the attention and in the feed-forward network of each block.
    """

    def __init__(self, model: MaskClassifier):
        self.num_prefix_tokens = model.embeddings.num_prefix_tokens
        self.attended, self.fed = [0] * len(model.layers), [0] * len(model.layers)
        for block, layer in enumerate(model.layers):
            layer.norm1.register_forward_pre_hook(partial(self._note, self.attended, block))
            layer.norm2.register_forward_pre_hook(partial(self._note, self.fed, block))

    @staticmethod
    def _note(counts: list[int], block: int, _: nn.Module, inputs: tuple) -> None:
        counts[block] = inputs[0].shape[1]

    def kept(self, method: ALGM | MPM, num_patches: int) -> list[float]:
        """The share of patch tokens that is left after each block that merges, of the last pass."""
        return [(self.fed[block - 1] - self.num_prefix_tokens) / num_patches for block in method.blocks]


class MergedSizes:
    """
    Counts as the model cards do, see `eomt.model_cards.sizes`.

    Args:
        config: of an unmasked EoMT.
        size: `(height, width)` of the images in pixels.
    """

    def __init__(self, config: PreTrainedConfig, size: tuple[int, int]):
        model = on_meta(config, masked=False)
        counts = count_multiply_adds(model, size)
        self.plain = counts[""]
        self._outside = self.plain - sum(counts[f"layers.{block}"] for block in range(len(model.layers)))
        self._width, self._num_prefix_tokens = config.hidden_size, model.embeddings.num_prefix_tokens
        layer = model.layers[0]
        self._attention = cache(lambda tokens: self._count([layer.norm1, layer.attention], tokens))
        self._feed_forward = cache(lambda tokens: self._count([layer.norm2, layer.mlp], tokens))

    @torch.no_grad()
    def _count(self, modules: list[nn.Module], tokens: int) -> int:
        states = torch.empty(1, tokens, self._width, device="meta")
        with FlopCounterMode(display=False, custom_mapping=FORMULAS) as counter:
            for module in modules:
                module(states)
        return counter.get_total_flops() // 2

    def merged(self, tokens: TokenCounter, method: ALGM | MPM | None) -> int:
        """Multiply-adds of an image in the last pass, those of finding similar tokens included."""
        return (
            self._outside
            + sum(map(self._attention, tokens.attended))
            + sum(map(self._feed_forward, tokens.fed))
            + self._matching(tokens, method)
        )

    def _matching(self, tokens: TokenCounter, method: ALGM | MPM | None) -> int:
        """Products of tokens with tokens; those of windows are negligible."""
        if isinstance(method, MPM):
            before = [tokens.attended[0], *tokens.fed]  # before each block
            counts = [before[block - 1] - self._num_prefix_tokens for block in method.blocks]
            return sum(self._width * count**2 for count in counts)
        if isinstance(method, ALGM) and method.global_block is not None:
            count = tokens.attended[method.global_block - 1] - self._num_prefix_tokens
            return self._width * (count // 2) * (count - count // 2)
        return 0
