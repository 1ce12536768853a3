"""Merging of similar tokens at inference: `merge_tokens(model, ALGM())`."""

from eomt.token_merging.algm import ALGM
from eomt.token_merging.merging import merge_tokens
from eomt.token_merging.mpm import MPM

__all__ = ["ALGM", "MPM", "merge_tokens"]
