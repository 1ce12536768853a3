"""Scores a checkpoint on a prepared dataset: of EoMT, or of transformers' Mask2Former, MaskFormer or OneFormer.

    eomt score --checkpoint outputs/street --data data/street --split val --task semantic --output scores.json --picture grid.png
    accelerate launch -m eomt.train_scripts.score --checkpoint ... --data ... --task ...     (several GPUs)

EoMT is scored without masked attention (`--masked`: with it), rows 0 to 3 of Table 1 as they were trained (`--masked false`:
without). Passes are in float32 or, where the machine is faster in it, under bfloat16 autocast (`--bf16 false`: never), which may
change a score by a tenth of a point. A pixel's class may be one whose score is lower than the best by .001, which makes maps much
faster; `--tolerance 0` gives exact ones. The image processor is the checkpoint's own, or the task's where it has none.
Models of transformers run through transformers' own processors; `--implementation transformers` runs an EoMT checkpoint so.
`--latency 50` times 50 images, one at a time.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from eomt.train_scripts.data.command import command
from eomt.train_scripts.data.command_line import parse_options
from eomt.train_scripts.data.next_command import next_line, predict_words
from eomt.train_scripts.evaluation.inference_options import ScoreOptions

if TYPE_CHECKING:
    from eomt.train_scripts.data.dataset_folder import Labels


def score(*args: Any, **kwargs: Any) -> tuple[dict[str, Any], "Labels"]:
    """`eomt.train_scripts.evaluation.scoring.score`, whose arguments are the fields of `ScoreOptions`."""
    from eomt.train_scripts.evaluation import scoring  # heavy: after the options, so that a wrong one is answered at once

    return scoring.score(*args, **kwargs)


@command
def main(words: Sequence[str]) -> None:
    options = parse_options(ScoreOptions, words, "Scores a checkpoint on a prepared dataset.")
    from accelerate import PartialState

    from eomt.train_scripts.evaluation.score_tables import score_tables

    scores, labels = score(**asdict(options))
    if PartialState().is_main_process:
        print(score_tables(scores, labels) + "\n")
        if "skipped" in scores:
            print(f"scored without {len(scores['skipped'])} images that can't be used, such as {scores['skipped'][0]}\n")
        for name, path in (("scores", options.output), ("picture", options.picture)):
            if path:
                print(f"{name + ':':<9} {path}")
        if scores["implementation"] == "eomt":  # `eomt predict` takes no other
            print(next_line(predict_words(options.checkpoint, options.task)))


if __name__ == "__main__":
    main()
