"""DSB2018 nuclei, mask AP against transformers' own EoMT in the same loop and minutes, from a DINOv2-S/14-derived ViT, on 2 cores.

    python benchmarks/dsb2018.py --shared ../shared --out outputs/dsb2018 --seed 0

Three of four images in sorted order are trained on, each fourth is scored. The arms train at the same time, each on half of the
cores for twice the minutes: `--minutes` counts those of the whole machine. Ours learns at the scale of tiles. Transformers has no
tiles, so that its model learns at the scale of whole images. Else they differ in model, matching and loss alone. Both are scored
with whole images, and with this package's tiles.
"""

import shutil
from pathlib import Path

from arms import compare_models, parse_options

from eomt.train_scripts.data.formats.detection import Split
from eomt.train_scripts.data.formats.source import Options
from eomt.train_scripts.data.preparation import prepare

TILES = 3.0  # so many times larger than in whole images


def main() -> None:
    args = parse_options(__doc__, out="outputs/dsb2018", minutes=20.0)
    photos, out = Path(args.shared) / "data" / "dsb2018", Path(args.out) / f"seed{args.seed}"
    shutil.rmtree(out, ignore_errors=True)
    splits = [Split("train", "masks", photos / "images", photos / "labels")]
    prepare(splits, out / "data", Options(kind="instance", classes=["nucleus"]), val_share=0.25)
    whole_images = ("--min_scale", "0.7", "--max_scale", "1.5")
    compare_models(args, Path(__file__).with_suffix(".yaml"), out, "instance", "val", whole_images, tiles=TILES)


if __name__ == "__main__":
    main()
