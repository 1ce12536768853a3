"""The demo: makes a dataset, trains a small EoMT, scores it, draws it, and serves it with stock transformers.

python train_scripts/demo.py --out outputs/demo
python train_scripts/demo.py --out outputs/demo --backbone vit_small_patch14_dinov2     (needs a network)
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from torchvision.transforms.v2.functional import to_pil_image
from transformers import AutoImageProcessor, AutoModel

from eomt.train_scripts.data.dataset_folder import read_labels
from eomt.train_scripts.data.evaluation_stream import evaluation_stream
from eomt.train_scripts.data.scenes import write_scenes
from eomt.train_scripts.evaluation.inference import predictions
from eomt.train_scripts.evaluation.reporting import draw_predictions, print_scores
from eomt.train_scripts.training.launching import launch_training

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
    parser.add_argument("--minutes", type=float, default=6.0, help="training time")
    args = parser.parse_args()
    start, out = time.monotonic(), Path(args.out)
    scenes, folder = out / "scenes", out / "model"
    write_scenes(scenes, train=args.scenes, val=200)
    recipe = ["--recipe", "demo_pretrained", "--timm_model", args.backbone] if args.backbone else ["--recipe", "demo"]
    paths = ["--data", str(scenes), "--output_dir", str(folder)]
    launch_training([*recipe, *paths, "--minutes", str(args.minutes)], batch_size=8)

    processor = AutoImageProcessor.from_pretrained(folder)
    stream = evaluation_stream(scenes, "val", processor)
    results = predictions(AutoModel.from_pretrained(folder), processor, stream, "panoptic", batch_size=6, threshold=0.5)
    draw_predictions(results, read_labels(scenes), out / "picture.png")
    print_scores(folder, "200 unseen scenes")
    to_pil_image(next(iter(stream))["sample"].image).save(out / "scene.png")
    subprocess.run([sys.executable, "-c", SERVE, str(folder), str(out / "scene.png")], check=True)
    print(f"picture: {out / 'picture.png'}   model: {folder}   {(time.monotonic() - start) / 60:.1f} minutes in all")


if __name__ == "__main__":
    main()
