"""Table 1 of the paper in miniature: from ViT-Adapter + Mask2Former to EoMT, on the demo's scenes, from the same pretrained ViT-S.

    python benchmarks/table1.py --shared ../shared --out outputs/table1 --steps 500

Twelve trainings with the same images: six rows from two seeds, a core each. Rows 0 to 4 are masked to the end and scored masked,
row 5 is annealed and scored without masks. Interrupted, the same command goes on: trainings resume, and what is scored stays.
Times are measured at the end, all rows in turn, on one thread, which wants a machine without other work.
"""

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from arms import BACKBONE, score_once, settled_bf16, train_in_turn
from paper_rows import read_tables
from timing import timed
from torch import Tensor

from eomt.mask_classifier import MaskClassifier
from eomt.model_cards.sizes import count_parameters
from eomt.train_scripts.data.scenes import write_scenes
from eomt.train_scripts.evaluation.loading import load_model

RECIPE = Path(__file__).with_suffix(".yaml")
BATCH, QUERIES, POINTS = 8, 12, 512  # as in the recipe
SEEDS = (0, 1)
EOMT = 5
ROWS = range(EOMT, -1, -1)  # EoMT first, the slowest last
PAPER = read_tables()["Tables 1 and B"].rows  # by row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with the ViT, not part of this project")
    parser.add_argument("--out", type=Path, default=Path("outputs/table1"))
    parser.add_argument("--steps", type=int, default=500, help="of 8 images; every image is seen once")
    parser.add_argument("--repeats", type=int, default=7, help="of the timings")
    args = parser.parse_args()
    data = args.out / "scenes"
    write_scenes(data, train=BATCH * args.steps, val=500)
    train_in_turn({run_name(row, seed): training_words(row, seed, data, args) for row in ROWS for seed in SEEDS}, args.out)
    scores = {row: [score_once(args.out / run_name(row, seed), data, "panoptic", row < EOMT) for seed in SEEDS] for row in ROWS}
    report(scores, args.out, args.repeats)


def run_name(row: int, seed: int) -> str:
    return f"row{row}_seed{seed}"


def training_words(row: int, seed: int, data: Path, args: argparse.Namespace) -> list:
    """Options of the training script for a row."""
    config = {"num_queries": QUERIES, "train_num_points": POINTS}
    if row < 4:
        config |= {"model_type": "eomt_ladder", "row": row}
    words = ["--recipe", RECIPE, "--timm_model", args.shared / BACKBONE, "--data", data, "--config", json.dumps(config)]
    return [*words, "--masking", "annealed" if row == EOMT else "always", "--max_steps", args.steps, "--seed", seed]


def report(scores: Mapping[int, Sequence[Mapping]], out: Path, repeats: int) -> None:
    """Prints a Markdown table, and stores `table1.json` and `table1.png`."""
    torch.set_num_threads(1)
    bf16 = settled_bf16(out)
    models = {row: load_model(str(out / run_name(row, SEEDS[0])), masked=row < EOMT) for row in ROWS}
    forward, step = forward_seconds(models, repeats, bf16), step_seconds(models, repeats, bf16)
    print(
        f"Times: one thread, {'bfloat16 autocast' if bf16 else 'float32'}, torch {torch.__version__}; a step has {BATCH} images.\n"
    )
    columns = ["row", "PQ", "by seed", "things", "stuff", "M params", "forward, ms", "step, s", "paper: PQ", "images/s"]
    print(f"| {' | '.join(columns)} |\n{'| --- ' * len(columns)}|")
    table = {}
    for row, by_seed in sorted(scores.items()):
        mean = {key: statistics.mean(one[key] for one in by_seed) for key in ("pq", "pq_things", "pq_stuff")}
        seeds, parameters = [one["pq"] for one in by_seed], count_parameters(models[row])
        cells = [PAPER[row].method, f"{mean['pq']:.1f}", " ".join(f"{pq:.1f}" for pq in seeds)]
        cells += [f"{mean['pq_things']:.1f}", f"{mean['pq_stuff']:.1f}", f"{parameters / 1e6:.1f}"]
        cells += [f"{1000 * forward[row]:.1f}", f"{step[row]:.2f}", PAPER[row].score, PAPER[row].fps]
        print(f"| {' | '.join(map(str, cells))} |")
        times = {"forward_seconds": forward[row], "step_seconds": step[row]}
        table[PAPER[row].method] = {**mean, "pq_by_seed": seeds, "parameters": parameters, **times}
    (out / "table1.json").write_text(json.dumps(table, indent=1))
    plot(table, out / "table1.png")


@torch.no_grad()
def forward_seconds(models: Mapping[int, MaskClassifier], repeats: int, bf16: bool) -> dict[int, float]:
    """{row: median seconds of a forward pass on one image}, masked as the row is."""
    pixels = random_pixels(models[EOMT], 1)
    for model in models.values():
        model.eval()

    def run(model: MaskClassifier) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            model(pixel_values=pixels)

    return timed({row: lambda model=model: run(model) for row, model in models.items()}, repeats, pixels.device)


def step_seconds(models: Mapping[int, MaskClassifier], repeats: int, bf16: bool) -> dict[int, float]:
    """{row: median seconds of loss and gradients of a batch}, with five segments an image; EoMT with the last block masked."""
    pixels = random_pixels(models[EOMT], BATCH)
    size = models[EOMT].config.image_size
    masks = [torch.rand(5, size // 16, size // 16).gt(0.7).repeat_interleave(16, 1).repeat_interleave(16, 2)] * BATCH
    classes = [torch.arange(5)] * BATCH
    for row, model in models.items():
        model.train()
        if row == EOMT:
            model.set_attn_mask_probs([0.0] * (len(model.attn_mask_probs) - 1) + [1.0])

    def run(model: MaskClassifier) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = model(pixel_values=pixels, mask_labels=masks, class_labels=classes).loss
        loss.backward()
        model.zero_grad()

    return timed({row: lambda model=model: run(model) for row, model in models.items()}, repeats, pixels.device)


def random_pixels(model: MaskClassifier, batch: int) -> Tensor:
    return torch.randn(batch, 3, *model.config.image_size_hw)


def plot(table: Mapping[str, Mapping], path: Path) -> None:
    """PQ against images a second: a dot a seed, here and in the paper side by side."""
    figure, (here, paper) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for row, (name, values) in enumerate(table.items()):
        speed, colour = 1 / values["forward_seconds"], f"C{row}"
        here.plot([speed] * len(SEEDS), values["pq_by_seed"], "o", color=colour, label=name)
        paper.plot(PAPER[row].fps, PAPER[row].score, "o", color=colour)
        here.annotate(str(row), (speed, values["pq"]), textcoords="offset points", xytext=(8, 0))
        paper.annotate(str(row), (PAPER[row].fps, PAPER[row].score), textcoords="offset points", xytext=(8, 0))
    here.set(title="here: scenes, ViT-S, a dot a seed", xlabel="images a second, one CPU thread", ylabel="PQ")
    paper.set(title="paper, Table 1: COCO, ViT-L", xlabel="images a second, H100", ylabel="PQ")
    for axes in (here, paper):
        axes.margins(0.15)
        axes.grid(alpha=0.3)
    figure.legend(*here.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main()
