"""The call that makes a model merge similar tokens."""

from eomt.encoders.patch_tokens import TokenMerging
from eomt.encoders.vit import ViTEncoder
from eomt.mask_classifier import MaskClassifier
from eomt.token_merging.algm import ALGM
from eomt.token_merging.mpm import MPM


def merge_tokens(model: MaskClassifier, method: ALGM | MPM | None, proportional: bool = True, per_image: bool = False) -> None:
    """Lets a model merge similar patch tokens inside its encoder, at inference, without a training (paper, section 4.3, Table 9).

    Tokens are merged before the queries join, and each patch has its token's values again before the mask module reads them. Class,
    register and query tokens are never merged. The model is faster by what the last blocks and most of the first ones save, and
    its masks are a little worse. Nothing of it is stored with the model: another call replaces it, None undoes it.

    With `output_hidden_states` and `output_attentions`, blocks have the numbers of tokens that they had; `last_hidden_state` has
    all patches.

    Args:
        model: an EoMT, or a row of the ladder to it, not compiled or wrapped. It merges in evaluation alone, and without masked
            attention in its blocks.
        method: which tokens to merge, `ALGM()` or `MPM()`; None for none.
        proportional: whether a token of k patches weighs as much in the attention as k keys. Without it the error is twice as
            large.
        per_image: whether the images of a batch run one after the other, so that their results don't depend on each other.
            Otherwise each merges as many tokens as that with the fewest to merge. `hidden_states` and `attentions` then come image
            by image.

    Raises:
        ValueError: the model can't merge tokens, or a block is none of those before the queries.
    """
    if not isinstance(model, ViTEncoder):
        raise ValueError(
            f"model is a {type(model).__name__}, in which no tokens can be merged; give a model of this package, itself and not "
            "what compiles or wraps it"
        )
    if method is None:
        model.token_merging, model.image_by_image = None, False
        return
    last = len(model.layers) - model.config.num_blocks
    if not all(1 <= block <= last for block in method.blocks):
        raise ValueError(f"{method} merges in other blocks than 1..{last}, those of this model before the queries join; name these")
    model.token_merging, model.image_by_image = TokenMerging(method, proportional), per_image
