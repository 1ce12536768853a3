"""Scores predictions on the BRAVO challenge, for who has its truth: mIoU, reliability of confidence, and unknown objects found.

    eomt predict --checkpoint CITYSCAPES_MODEL --images BRAVO --task semantic --format bravo --output predictions
    eomt bravo --predictions predictions/bravo --truth BRAVO_TRUTH --output bravo.json

`predictions/bravo` is also what the organisers' tool encodes for a submission. The rules are the toolkit's; the means are harmonic.
"""

from collections.abc import Sequence
from typing import Any

from eomt.train_scripts.data.command import command
from eomt.train_scripts.data.command_line import parse_options
from eomt.train_scripts.evaluation.bravo_options import BravoOptions


def score_bravo(*args: Any, **kwargs: Any) -> dict[str, dict]:
    """`eomt.train_scripts.evaluation.bravo_scoring.score_bravo`, whose arguments are the fields of `BravoOptions`."""
    from eomt.train_scripts.evaluation import bravo_scoring  # heavy: after the options, so that a wrong one is answered at once

    return bravo_scoring.score_bravo(*args, **kwargs)


@command
def main(words: Sequence[str]) -> None:
    options = parse_options(BravoOptions, words, __doc__)
    from eomt.train_scripts.evaluation.score_tables import table

    scores = score_bravo(options.predictions, options.truth, options.output)
    columns = [name for name in scores["all"] if name not in ("semantic", "ood", "bravo_index")]
    print(table("subset", columns, {name: [row.get(column) for column in columns] for name, row in scores.items()}) + "\n")
    for name in ("semantic", "ood", "bravo_index"):
        print(f"{name + ':':<13}{'-' if scores['all'][name] is None else format(scores['all'][name], '.1f')}")
    if options.output:
        print(f"{'scores:':<13}{options.output}")


if __name__ == "__main__":
    main()
