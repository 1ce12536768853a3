"""PQ before and after training on 100 COCO photos, from a DINOv2-S/14-derived ViT, within an hour on 2 cores.

    python benchmarks/coco_panoptic100.py --shared ../shared --out outputs/coco_panoptic100

The photos that are trained on are scored: 100 photos over 133 classes show that training works and converges, and say nothing
about published PQ. Expected: see README.md. Cost: 27 minutes of training and two for the rest.
"""

import argparse
import json
import shutil
from pathlib import Path

from transformers import AutoImageProcessor, AutoModel

from eomt.train_scripts.coco_panoptic import convert
from eomt.train_scripts.data import read_labels
from eomt.train_scripts.inference import predictions
from eomt.train_scripts.launching import launch_training
from eomt.train_scripts.reporting import draw_predictions, print_scores
from eomt.train_scripts.streams import evaluation_stream


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", default="../shared", help="folder with data/coco_panoptic100 and data/vits14")
    parser.add_argument("--out", default="outputs/coco_panoptic100", help="folder for the dataset, the model and the picture")
    parser.add_argument("--minutes", type=float, default=27.0, help="training time")
    args = parser.parse_args()
    data, out = Path(args.shared) / "data", Path(args.out)
    photos, folder = out / "photos", out / "model"
    coco = data / "coco_panoptic100"
    shutil.rmtree(photos, ignore_errors=True)
    convert(coco / "train2017", coco / "panoptic_train2017", coco / "panoptic_train2017.json", photos, split="train")
    recipe = ["--recipe", str(Path(__file__).with_suffix(".yaml")), "--minutes", str(args.minutes)]
    weights = ["--timm_model", str(data / "vits14" / "vit_small_patch14_dinov2_fp16.safetensors")]
    launch_training([*recipe, *weights, "--data", str(photos), "--output_dir", str(folder)], batch_size=4)

    processor = AutoImageProcessor.from_pretrained(folder)
    stream = evaluation_stream(photos, "train", processor)
    results = predictions(AutoModel.from_pretrained(folder), processor, stream, "panoptic", batch_size=2)
    draw_predictions(results, read_labels(photos), out / "picture.png")
    print_scores(folder, "100 photos")
    steps = json.loads((folder / "trainer_state.json").read_text())["global_step"]
    seconds = json.loads((folder / "train_results.json").read_text())["train_runtime"]
    print(f"{steps} steps of 4 images in {seconds / 60:.1f} minutes")


if __name__ == "__main__":
    main()
