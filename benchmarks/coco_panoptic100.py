"""PQ before and after training on 100 COCO photos, from a DINOv2-S/14-derived ViT, within an hour on 2 cores.

    python benchmarks/coco_panoptic100.py --shared ../shared --out outputs/coco_panoptic100

The photos that are trained on are scored: 100 photos over 133 classes show that training works and converges, and say nothing
about published PQ. Expected: see README.md. Cost: the minutes of the recipe, 40, and about three for the rest.
"""

import argparse
import json
from pathlib import Path

from eomt.train_scripts import train
from eomt.train_scripts.coco_panoptic import write_coco_panoptic
from eomt.train_scripts.reporting import draw_predictions, print_scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", default="../shared", help="folder with data/coco_panoptic100 and data/vits14")
    parser.add_argument("--out", default="outputs/coco_panoptic100", help="folder for the dataset, the model and the picture")
    parser.add_argument("--minutes", type=float, help="training time, in place of the recipe's")
    args = parser.parse_args()
    data, out = Path(args.shared) / "data", Path(args.out)
    coco = data / "coco_panoptic100"
    write_coco_panoptic(
        coco / "train2017", coco / "panoptic_train2017", coco / "panoptic_train2017.json", out / "photos", split="train"
    )
    words = ["--recipe", str(Path(__file__).with_suffix(".yaml"))]
    words += ["--timm_model", str(data / "vits14" / "vit_small_patch14_dinov2_fp16.safetensors")]
    words += ["--data", str(out / "photos"), "--output_dir", str(out / "model")]
    words += ["--minutes", str(args.minutes)] if args.minutes else []
    trainer = train.main(words)
    draw_predictions(trainer, out / "picture.png")
    print_scores(out / "model", "100 photos")
    seconds = json.loads((out / "model" / "train_results.json").read_text())["train_runtime"]
    print(f"{trainer.state.global_step} steps of {trainer.args.total_batch_size} images in {seconds / 60:.1f} minutes")


if __name__ == "__main__":
    main()
