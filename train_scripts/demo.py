"""The demo: makes a dataset, fine-tunes a small EoMT, scores it, draws it, and serves it with stock transformers.

python train_scripts/demo.py --out outputs/demo
python train_scripts/demo.py --out outputs/demo --backbone vit_small_patch14_dinov2     (needs a network)
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from torchvision.transforms.v2.functional import to_pil_image

from eomt.train_scripts import train
from eomt.train_scripts.reporting import draw_predictions, print_scores
from eomt.train_scripts.scenes import write_scenes

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
    draw_predictions(trainer, out / "picture.png")
    print_scores(out / "model", "200 unseen scenes")
    scene = next(iter(trainer.eval_dataset))["sample"].image
    to_pil_image(scene).save(out / "scene.png")
    subprocess.run([sys.executable, "-c", SERVE, str(out / "model"), str(out / "scene.png")], check=True)
    print(f"picture: {out / 'picture.png'}    model: {out / 'model'}    {(time.monotonic() - start) / 60:.1f} minutes in all")


if __name__ == "__main__":
    main()
