"""PQ on 100 COCO photos against transformers' own EoMT in the same loop and minutes, from a DINOv2-S/14-derived ViT, on 2 cores.

    python benchmarks/coco_panoptic100.py --shared ../shared --out outputs/coco_panoptic100 --seed 0

The photos that are trained on are scored: 100 photos over 133 classes show that training works and converges, and say nothing
about published PQ. The arms train at the same time, each on half of the cores for twice the minutes: `--minutes` counts those of
the whole machine. They differ in model, matching and loss alone.
"""

import shutil
from pathlib import Path

from arms import compare_models, parse_options

from eomt.train_scripts.data.formats.detection import Split
from eomt.train_scripts.data.preparation import prepare


def main() -> None:
    args = parse_options(__doc__, out="outputs/coco_panoptic100", minutes=27.0)
    coco, out = Path(args.shared) / "data" / "coco_panoptic100", Path(args.out) / f"seed{args.seed}"
    shutil.rmtree(out, ignore_errors=True)
    prepare([Split("train", "coco_panoptic", coco / "train2017", coco / "panoptic_train2017.json")], out / "data")
    compare_models(args, Path(__file__).with_suffix(".yaml"), out, task="panoptic", split="train")


if __name__ == "__main__":
    main()
