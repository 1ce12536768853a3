"""Segments many images: panoptic PNGs with their json, COCO's instance json, or index PNGs, and pictures if asked for.

    eomt predict --checkpoint outputs/street --images photos --task semantic --output predictions --overlays
    accelerate launch -m eomt.train_scripts.predict --checkpoint ... --images ... --task ... --output ...     (several GPUs)

Interrupted, the same command goes on with the images that are not done. An image that can't be read, or whose
name no file can have, is reported in `broken.json`, tried again by the next run, and the others go on. Names of digits alone are
COCO's image ids.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eomt.train_scripts.data.command import command
from eomt.train_scripts.data.command_line import parse_options
from eomt.train_scripts.evaluation.inference_options import PredictOptions


def predict(*args: Any, **kwargs: Any) -> dict[str, int]:
    """`eomt.train_scripts.evaluation.predicting.predict`, whose arguments are the fields of `PredictOptions`."""
    from eomt.train_scripts.evaluation import predicting  # heavy: after the options, so that a wrong one is answered at once

    return predicting.predict(*args, **kwargs)


@command
def main(words: Sequence[str]) -> None:
    options = parse_options(PredictOptions, words, "Segments many images with an EoMT checkpoint.")
    from accelerate import PartialState

    counts = predict(**asdict(options))
    if PartialState().is_main_process:
        print(", ".join(f"{count} {name}" for name, count in counts.items()) + f"; in {options.output}")
        if options.overlays:
            print(f"pictures: {Path(options.output) / 'overlays'}")
        if counts["broken"]:
            print(f"what couldn't be read or written is in {Path(options.output) / 'broken.json'}")


if __name__ == "__main__":
    main()
