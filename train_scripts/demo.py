"""The demo: makes a dataset, fine-tunes a small EoMT, scores it, draws it, and serves it with stock transformers.

python train_scripts/demo.py --out outputs/demo
python train_scripts/demo.py --out outputs/demo --backbone vit_small_patch14_dinov2     (needs a network)
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from eomt.train_scripts import train
from eomt.train_scripts.scenes import write_scenes
from eomt.train_scripts.trainer import EomtTrainer

SERVE = """
import sys
from PIL import Image
from transformers import pipeline

segmenter = pipeline("image-segmentation", model=sys.argv[1])
print(f"{type(segmenter.model).__module__} on {sys.argv[2]}:")
for segment in segmenter(Image.open(sys.argv[2]), threshold=0.5):
    print(f"  {segment['label']:<10} score {segment['score']:.3f}  {sum(segment['mask'].histogram()[1:]):6d} pixels")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Trains, scores, draws and serves a small EoMT.")
    parser.add_argument("--out", default="outputs/demo", help="folder for the dataset, the model and the picture")
    parser.add_argument("--backbone", help="timm ViT to start from, in place of random weights")
    parser.add_argument("--scenes", type=int, default=12000, help="training scenes to make")
    parser.add_argument("--minutes", type=float, help="training time, in place of the recipe's six minutes")
    args = parser.parse_args()
    start, out = time.monotonic(), Path(args.out)
    write_scenes(out / "scenes", train=args.scenes, val=200)
    words = ["--data", str(out / "scenes"), "--output_dir", str(out / "model")]
    words += ["--recipe", "demo_pretrained", "--timm_model", args.backbone] if args.backbone else ["--recipe", "demo"]
    words += ["--minutes", str(args.minutes)] if args.minutes else []
    trainer = train.main(words)
    draw(trainer, out)
    report(out / "model")
    subprocess.run([sys.executable, "-c", SERVE, str(out / "model"), str(out / "scene.png")], check=True)
    print(f"picture: {out / 'picture.png'}    model: {out / 'model'}    {(time.monotonic() - start) / 60:.1f} minutes in all")


def draw(trainer: EomtTrainer, out: Path, images: int = 6) -> None:
    """Writes the picture grid of the first evaluation images, and the first image alone."""
    raise SystemExit("filled in below")


def report(folder: Path) -> None:
    """Prints panoptic, segmentation and recognition quality before and after."""
    before, after = (json.loads((folder / f"{name}_results.json").read_text()) for name in ("before", "eval"))
    print(f"{'unseen scenes':<16}{'PQ':>8}{'SQ':>8}{'RQ':>8}{'PQ things':>12}{'PQ stuff':>12}")
    for name, prefix, scores in (("before", "before", before), ("after training", "eval", after)):
        values = [scores[f"{prefix}_{key}"] for key in ("pq", "sq", "rq", "pq_things", "pq_stuff")]
        print(f"{name:<16}{values[0]:8.1f}{values[1]:8.1f}{values[2]:8.1f}{values[3]:12.1f}{values[4]:12.1f}")


if __name__ == "__main__":
    main()
