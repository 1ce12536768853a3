"""The demo: makes a dataset, trains a small EoMT, scores it, draws it, and serves it with stock transformers.

python train_scripts/demo.py --out outputs/demo
python train_scripts/demo.py --out outputs/demo --backbone vit_small_patch14_dinov2     (needs a network)

Interrupted, the same command goes on with the training; once that has finished, it draws and serves the model again. `--overwrite`
trains anew.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from eomt.train_scripts.data.command import command
from eomt.train_scripts.data.command_line import parse_options
from eomt.train_scripts.data.next_command import next_line, predict_words


@dataclass
class DemoOptions:
    """What the demo makes, and for how long it trains."""

    out: str = field(default="outputs/demo", metadata={"help": "folder for the dataset, the model and the picture"})
    backbone: str | None = field(default=None, metadata={"help": "timm ViT to start from, in place of random weights"})
    scenes: int = field(default=12000, metadata={"help": "training scenes to make"})
    minutes: float | None = field(
        default=None, metadata={"help": "training time; by default 6 where the machine is fast in bfloat16, else 8"}
    )
    overwrite: bool = field(default=False, metadata={"help": "train anew, where there is a model already"})


@command
def main(words: Sequence[str]) -> None:
    options = parse_options(DemoOptions, words, "Trains, scores, draws and serves a small EoMT.")
    # heavy modules come after the options, so that a wrong option is answered at once
    from eomt.train_scripts.data.scenes import write_scenes
    from eomt.train_scripts.evaluation.precision import is_fast_in_bfloat16
    from eomt.train_scripts.evaluation.serving import draw_and_serve
    from eomt.train_scripts.training.launching import launch_training

    minutes = options.minutes if options.minutes is not None else 6 if is_fast_in_bfloat16() else 8
    start, out = time.monotonic(), Path(options.out)
    scenes, folder = out / "scenes", out / "model"
    write_scenes(scenes, train=options.scenes, val=200)
    recipe = ["--recipe", "demo_pretrained", "--timm_model", options.backbone] if options.backbone else ["--recipe", "demo"]
    paths = ["--data", str(scenes), "--output_dir", str(folder)]
    anew = ["--overwrite"] if options.overwrite else []
    launch_training([*recipe, *paths, "--minutes", str(minutes), *anew], batch_size=8)
    draw_and_serve(scenes, folder, out)
    print(f"\npicture:  {out / 'picture.png'}\nmodel:    {folder}\n{(time.monotonic() - start) / 60:.1f} minutes in all")
    print(next_line(predict_words(str(folder), "panoptic"), ("prepare", "--help")))


if __name__ == "__main__":
    main()
