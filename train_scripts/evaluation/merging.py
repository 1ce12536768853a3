"""Token merging as the options of scoring and prediction describe it."""

from eomt.token_merging import ALGM, MPM
from eomt.train_scripts.evaluation.inference_options import PredictOptions, ScoreOptions


def merging_method(options: ScoreOptions | PredictOptions) -> ALGM | MPM | None:
    """What `merge_tokens` takes; None for a model that merges nothing.

    Raises:
        ValueError: a threshold or the order of the blocks is wrong.
    """
    if options.merge_tokens is None:
        return None
    if options.merge_tokens == "mpm":
        return MPM() if options.merge_blocks is None else MPM(tuple(options.merge_blocks))
    fields = {} if options.merge_threshold is None else {"threshold": options.merge_threshold}
    if options.merge_blocks is not None:
        fields["local_block"], fields["global_block"] = (block or None for block in options.merge_blocks)
    return ALGM(**fields)
