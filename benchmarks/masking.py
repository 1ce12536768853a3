"""What masked attention and its annealing do to a training: the paper's Table 7 in miniature, on CamVid.

    python benchmarks/masking.py --shared ../shared --out outputs/masking --minutes 10

Nine trainings of `--minutes` by the clock, each on half of the cores, two at a time: masked to the end, never masked (the last
prediction alone is supervised, as in the paper) and annealed, from three seeds. Those masked to the end are scored masked and
unmasked. Interrupted, the same command goes on: trainings resume, and what is scored stays.
"""

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from arms import BACKBONE, score_once, train_in_turn
from PIL import Image, ImageDraw, ImageFont

from eomt.train_scripts.data.formats.detection import Split
from eomt.train_scripts.data.formats.source import Options
from eomt.train_scripts.data.preparation import prepare

CLASSES = "Sky Building Pole Road Pavement Tree Sign Fence Car Pedestrian Bicyclist".split()
SEEDS = (0, 1, 2)
ROWS = {  # title -> how it is trained, whether it is scored masked, the paper's PQ on COCO
    "masked, scored masked": ("always", True, 56.2),
    "masked, scored unmasked": ("always", False, 27.4),
    "never masked": ("never", False, 53.2),
    "annealed": ("annealed", False, 56.0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--shared", type=Path, default=Path("../shared"), help="folder with data, which is not part of this project"
    )
    parser.add_argument("--out", type=Path, default=Path("outputs/masking"))
    parser.add_argument("--minutes", type=float, default=10.0, help="of a training, on half of the cores")
    args = parser.parse_args()
    data = args.out / "data"
    if not (data / "labels.json").is_file():
        camvid = args.shared / "data" / "camvid"
        splits = [Split(name, "masks", camvid / name, camvid / f"{name}annot") for name in ("train", "val")]
        prepare(splits, data, Options(kind="semantic", classes=CLASSES, void=[11]))
    train_all(args, data)
    scores = {}
    for title, (mode, masked, _) in ROWS.items():
        scores[title] = [score_once(args.out / f"{mode}{seed}", data, "semantic", masked)["miou"] for seed in SEEDS]
    report(scores, args.out)


def train_all(args: argparse.Namespace, data: Path) -> None:
    runs = {}
    for seed in SEEDS:
        for mode in ("always", "never", "annealed"):
            words = ["--recipe", Path(__file__).with_suffix(".yaml"), "--timm_model", args.shared / BACKBONE, "--data", data]
            runs[f"{mode}{seed}"] = [*words, "--masking", mode, "--seed", seed, "--minutes", args.minutes]
    train_in_turn(runs, args.out)


def report(scores: Mapping[str, Sequence[float]], out: Path) -> None:
    steps = {
        mode: [json.loads((out / f"{mode}{seed}" / "trainer_state.json").read_text())["global_step"] for seed in SEEDS]
        for mode in ("always", "never", "annealed")
    }
    print(f"{'':<26}{'mIoU':>8}{'spread':>8}   {'by seed':<22}{'steps':<18}{'paper, PQ':>9}")
    for title, values in scores.items():
        mode, _, paper = ROWS[title]
        by_seed, by_steps = " ".join(f"{value:.1f}" for value in values), " ".join(map(str, steps[mode]))
        print(f"{title:<26}{statistics.mean(values):>8.1f}{statistics.stdev(values):>8.1f}   {by_seed:<22}{by_steps:<18}{paper:>9}")
    (out / "scores.json").write_text(json.dumps({"scores": scores, "steps": steps}, indent=1))
    plot(scores, out / "masking.png")


def plot(scores: Mapping[str, Sequence[float]], path: Path) -> None:
    """A row for each kind of training: a dot a seed, a line at their mean."""
    scale, left, right, row = 2, 190, 610, 34
    low = 10 * int(min(map(min, scores.values())) // 10)
    high = 10 * -int(-max(map(max, scores.values())) // 10)
    picture = Image.new("RGB", (scale * 640, scale * (row * len(scores) + 54)), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(scale * 13)

    def x(value: float) -> float:
        return scale * (left + (right - left) * (value - low) / max(1, high - low))

    bottom = scale * (row * len(scores) + 14)
    for value in range(low, high + 1, 10):
        draw.line((x(value), scale * 8, x(value), bottom), "#dddddd", scale)
        draw.text((x(value), bottom + scale * 10), str(value), "#444444", font, anchor="mm")
    draw.text((scale * (left + right) / 2, bottom + scale * 28), "mIoU on CamVid val, a dot a seed", "#444444", font, anchor="mm")
    for index, (title, values) in enumerate(scores.items()):
        y = scale * (row * (index + 0.5) + 10)
        draw.text((scale * (left - 12), y), title, "black", font, anchor="rm")
        draw.line((x(statistics.mean(values)), y - scale * 11, x(statistics.mean(values)), y + scale * 11), "#c93333", scale * 3)
        for value in values:
            draw.circle((x(value), y), scale * 4, "#1f6fb4")
    picture.resize((picture.width // scale, picture.height // scale), Image.Resampling.LANCZOS).save(path, "PNG")


if __name__ == "__main__":
    main()
