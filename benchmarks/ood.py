"""Anomalies on the road: the paper's Table E and Figure B in miniature, from CamVid to RoadAnomaly.

    python benchmarks/ood.py --shared ../shared --out outputs/ood --steps 1500 --seed 0
    python benchmarks/ood.py --shared ../shared --out outputs/ood --checkpoints EOMT ROW0            (instead of training)

EoMT with annealed masks, and ViT-Adapter + Mask2Former (row 0 of Table 1), which is masked to the end and scored so, are trained on
the same images of CamVid from the same pretrained ViT-S. Each model says how sure it is at each pixel of 18 photos of other places,
on which something lies or walks that CamVid has no class for: in windows of the training's size, in maps of 1280 x 720 pixels, with
the pixels of all photos pooled. Prints a Markdown table, and writes `ood.json`, `ood.png`, which has a dot a seed, and
`figure_b.png`, which has photos, truth and confidence.

Interrupted, the same command goes on: trainings resume, and what is predicted or scored stays.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from arms import BACKBONE, HERE, score_once, train_in_turn
from PIL import Image

from eomt.train_scripts.data.choices import CONFIDENCE_NAMES
from eomt.train_scripts.data.formats.source import Options
from eomt.train_scripts.data.formats.split import Split
from eomt.train_scripts.data.preparation import prepare
from eomt.train_scripts.metrics.anomaly_detection import AnomalyDetection

RECIPE = Path(__file__).with_suffix(".yaml")
CLASSES = "Sky Building Pole Road Pavement Tree Sign Fence Car Pedestrian Bicyclist".split()
VOID = 11  # in CamVid's masks
ANOMALY = 2  # in RoadAnomaly's labels; 0 is all else, and nothing is void
PICTURED = 6  # photos in figure_b.png
DRAWN_SCORE = "max"  # that of the paper, as far as is known


@dataclass(frozen=True)
class Arm:
    """A kind of model: how it is trained and scored, and the paper's AUPRC on BRAVO."""

    title: str
    config: dict
    masked: bool
    paper: float


SIZES = {"num_queries": 50, "train_num_points": 2048}
ARMS = {
    "eomt": Arm("EoMT", {**SIZES, "num_blocks": 3}, masked=False, paper=89.7),
    "row0": Arm("ViT-Adapter + Mask2Former", {**SIZES, "model_type": "eomt_ladder", "row": 0}, masked=True, paper=68.7),
}


def main() -> None:
    args = parse_arguments()
    camvid = args.out / "camvid"
    if not (camvid / "labels.json").is_file():
        source = args.shared / "data" / "camvid"
        splits = [Split(name, "masks", source / name, source / f"{name}annot") for name in ("train", "val")]
        prepare(splits, camvid, Options(kind="semantic", classes=CLASSES, void=[VOID]))
    checkpoints = (
        trained(args, camvid) if args.checkpoints is None else {"eomt": args.checkpoints[:1], "row0": args.checkpoints[1:]}
    )
    table, maps = {}, {}
    for name, folders in checkpoints.items():
        outputs = [args.out / "predictions" / f"{name}_{folder.name}" for folder in folders]
        masked = ARMS[name].masked
        maps[name] = [predict(*paths, args.photos, masked) for paths in zip(folders, outputs, strict=True)]
        table[name] = {
            "miou": [score_once(folder, camvid, "semantic", masked)["miou"] for folder in folders],
            "scores": {score: [measure(path / score, args.photos) for path in maps[name]] for score in CONFIDENCE_NAMES},
        }
    report(table)
    (args.out / "ood.json").write_text(json.dumps(table, indent=1))
    plot(table, args.out / "ood.png")
    draw({name: paths[0] / DRAWN_SCORE for name, paths in maps.items()}, args.photos, args.out / "figure_b.png")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--shared", type=Path, default=Path("../shared"), help="folder with data, which is not part of this project"
    )
    parser.add_argument("--out", type=Path, default=Path("outputs/ood"))
    parser.add_argument("--steps", type=int, default=1500, help="of a training, of 2 images")
    parser.add_argument("--seed", type=int, nargs="+", default=[0], help="a training of each model from each of these")
    parser.add_argument("--checkpoints", type=Path, nargs=2, metavar=("EOMT", "ROW0"), help="are scored, in place of training")
    parser.add_argument(
        "--photos", type=Path, help="a folder with images/ and labels/; by default RoadAnomaly's in the shared data"
    )
    args = parser.parse_args()
    args.photos = args.photos or args.shared / "data" / "roadanomaly"
    return args


def trained(args: argparse.Namespace, camvid: Path) -> dict[str, list[Path]]:
    """Trains what is not trained yet; gives the folders of each arm's models, a seed each."""
    runs = {}
    for seed in args.seed:
        for name, arm in ARMS.items():
            words = [
                "--recipe",
                RECIPE,
                "--timm_model",
                args.shared / BACKBONE,
                "--data",
                camvid,
                "--config",
                json.dumps(arm.config),
            ]
            words += ["--masking", "always" if arm.masked else "annealed", "--max_steps", args.steps, "--seed", seed]
            runs[f"{name}_seed{seed}"] = words
    train_in_turn(runs, args.out)
    return {name: [args.out / f"{name}_seed{seed}" for seed in args.seed] for name in ARMS}


def predict(checkpoint: Path, out: Path, photos: Path, masked: bool) -> Path:
    """Writes maps of confidence by the command that users have, which leaves out photos that are done; gives their folder."""
    words = ["--checkpoint", checkpoint, "--images", photos / "images", "--task", "semantic", "--output", out]
    words += ["--confidence", *CONFIDENCE_NAMES, "--masked", masked]
    subprocess.run(list(map(str, [sys.executable, HERE.parent / "train_scripts" / "predict.py", *words])), check=True)
    return out / "confidence"


def measure(confidence: Path, photos: Path) -> dict[str, float]:
    """AUPRC, AUROC and FPR95 in percent over the pixels of all photos."""
    metric = AnomalyDetection()
    for label in label_files(photos):
        metric.add(read_map(confidence / label.name), (read_map(label) == ANOMALY).int())
    return metric.compute()


def label_files(photos: Path) -> list[Path]:
    return sorted((photos / "labels").glob("*.png"))


def read_map(path: Path) -> torch.Tensor:
    """(H, W) integers."""
    with Image.open(path) as image:
        return torch.from_numpy(np.asarray(image).astype(np.int32))


def report(table: Mapping[str, Mapping]) -> None:
    """Prints a Markdown table: means over seeds, and the seeds of AUPRC."""
    columns = ["", "confidence", "AUPRC", "by seed", "FPR95", "AUROC", "mIoU on CamVid", "paper: AUPRC on BRAVO"]
    print(f"| {' | '.join(columns)} |\n{'| --- ' * len(columns)}|")
    for name, values in table.items():
        for score, seeds in values["scores"].items():
            auprc, fpr95, auroc = (statistics.mean(seed[key] for seed in seeds) for key in ("auprc", "fpr95", "auroc"))
            cells = [ARMS[name].title, score, f"{auprc:.1f}", " ".join(f"{seed['auprc']:.1f}" for seed in seeds), f"{fpr95:.1f}"]
            cells += [f"{auroc:.1f}", f"{statistics.mean(values['miou']):.1f}", ARMS[name].paper if score == DRAWN_SCORE else ""]
            print(f"| {' | '.join(map(str, cells))} |")
    print(f"a confidence that knows nothing has an AUPRC of {share_of_anomalies(table):.1f}", flush=True)


def share_of_anomalies(table: Mapping[str, Mapping]) -> float:
    """Of the photos' pixels, percent."""
    return table["eomt"]["scores"][DRAWN_SCORE][0]["anomalous"]


def plot(table: Mapping[str, Mapping], path: Path) -> None:
    """AUPRC and FPR95 by score: a dot a seed."""
    figure, panels = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
    for axes, key, title in zip(panels, ("auprc", "fpr95"), ("AUPRC, higher is better", "FPR95, lower is better"), strict=True):
        for index, (name, values) in enumerate(table.items()):
            dots = [(seed[key], line) for line, seeds in enumerate(values["scores"].values()) for seed in seeds]
            x, y = zip(*dots, strict=True)
            axes.plot(x, [line + 0.2 * index - 0.1 for line in y], "o", color=f"C{index}", label=ARMS[name].title)
        axes.set(title=title, yticks=range(len(CONFIDENCE_NAMES)), yticklabels=CONFIDENCE_NAMES, xlabel="percent")
        axes.invert_yaxis()
        axes.grid(axis="x", alpha=0.3)
    panels[0].axvline(share_of_anomalies(table), color="grey", linestyle=":", label="knows nothing")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def draw(confidences: Mapping[str, Path], photos: Path, path: Path) -> None:
    """A row a photo: the photo, its anomalies in black, and each model's confidence, the darker the less sure."""
    labels = label_files(photos)
    labels = labels[:: max(1, len(labels) // PICTURED)][:PICTURED]
    titles = ["photo", "anomalies", *(ARMS[name].title for name in confidences)]
    figure, grid = plt.subplots(
        len(labels), len(titles), figsize=(3.2 * len(titles), 1.9 * len(labels)), squeeze=False, layout="constrained"
    )
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title)
    for row, label in zip(grid, labels, strict=True):
        (photo,) = (photos / "images").glob(f"{label.stem}.*")
        maps = [read_map(folder / label.name) / 65535 for folder in confidences.values()]
        row[0].imshow(Image.open(photo))
        for axes, shown in zip(row[1:], [(read_map(label) != ANOMALY).float(), *maps], strict=True):
            axes.imshow(shown, cmap="gray", vmin=0, vmax=1)
    for axes in grid.flat:
        axes.set_axis_off()
    figure.savefig(path, dpi=100)
    plt.close(figure)


if __name__ == "__main__":
    main()
