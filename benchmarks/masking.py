"""What masked attention and its annealing do to a training: the paper's Table 7 in miniature, on the demo's scenes.

    python benchmarks/masking.py --out outputs/masking --steps 1000 --minutes 3

The demo's model from random weights: masked to the end, never masked (the last prediction alone is supervised, as in the paper) and
annealed, from three seeds, with queries in the last 2 or 3 blocks; once with equal numbers of images (`--steps` of 8), and once in
equal minutes (`--minutes` by the clock). A training has one core. Those masked to the end are scored masked and unmasked.
Interrupted, the same command goes on: trainings resume, and what is scored stays.
"""

import argparse
import json
import statistics
from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
from arms import score_once, train_in_turn

from eomt.train_scripts.data.scenes import write_scenes

RECIPE = Path(__file__).with_suffix(".yaml")
BATCH = 8  # as in the recipe
# of the demo, with L2 given
MODEL = dict(hidden_size=128, num_hidden_layers=5, num_attention_heads=4, patch_size=8, num_register_tokens=0, num_upscale_blocks=1)
MODEL |= dict(num_queries=12, train_num_points=512)
SEEDS = (0, 1, 2)
BLOCKS = (2, 3)  # L2
MODES = ("always", "never", "annealed")
ARMS = {  # title -> how it is trained, whether it is scored masked, the paper's PQ on COCO
    "masked, scored masked": ("always", True, 56.2),
    "masked, scored unmasked": ("always", False, 27.4),
    "never masked": ("never", False, 53.2),
    "annealed": ("annealed", False, 56.0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("outputs/masking"))
    parser.add_argument("--steps", type=int, default=1000, help="of 8 images, of the trainings with equal numbers of images")
    parser.add_argument("--minutes", type=float, default=3.0, help="of the trainings by the clock")
    args = parser.parse_args()
    data = args.out / "scenes"
    write_scenes(data, train=BATCH * args.steps, val=500)
    budgets = {"images": ("--max_steps", args.steps), "minutes": ("--minutes", args.minutes)}
    runs = {}
    for budget, words in budgets.items():
        for seed in SEEDS:
            for blocks in BLOCKS:
                config = json.dumps({**MODEL, "num_blocks": blocks})
                for mode in MODES:
                    runs[run_name(budget, blocks, mode, seed)] = ["--recipe", RECIPE, "--data", data, "--config", config, *words]
                    runs[run_name(budget, blocks, mode, seed)] += ["--masking", mode, "--seed", seed]
    train_in_turn(runs, args.out)
    table = {}
    for budget in budgets:
        for blocks in BLOCKS:
            for title, (mode, masked, _) in ARMS.items():
                folders = [args.out / run_name(budget, blocks, mode, seed) for seed in SEEDS]
                table.setdefault(f"equal {budget}, L2 = {blocks}", {})[title] = {
                    "pq": [score_once(folder, data, "panoptic", masked)["pq"] for folder in folders],
                    "steps": [json.loads((folder / "trainer_state.json").read_text())["global_step"] for folder in folders],
                }
    report(table, args.out)


def run_name(budget: str, blocks: int, mode: str, seed: int) -> str:
    return f"{budget}_{blocks}_{mode}{seed}"


def report(table: Mapping[str, Mapping[str, Mapping]], out: Path) -> None:
    """Prints a Markdown table, and stores `masking.json` and `masking.png`."""
    columns = ["", "arm", "PQ", "spread", "by seed", "steps", "paper: PQ"]
    print(f"| {' | '.join(columns)} |\n{'| --- ' * len(columns)}|")
    for budget, arms in table.items():
        for title, values in arms.items():
            pq = values["pq"]
            cells = [budget, title, f"{statistics.mean(pq):.1f}", f"{statistics.stdev(pq):.1f}"]
            cells += [" ".join(f"{value:.1f}" for value in pq), " ".join(map(str, values["steps"])), ARMS[title][2]]
            print(f"| {' | '.join(map(str, cells))} |")
    (out / "masking.json").write_text(json.dumps(table, indent=1))
    plot(table, out / "masking.png")


def plot(table: Mapping[str, Mapping[str, Mapping]], path: Path) -> None:
    """A panel a budget and L2, a line for each arm: a dot a seed, a bar at their mean."""
    figure, panels = plt.subplots(2, 2, figsize=(9, 5), sharex=True, sharey=True, layout="constrained")
    for axes, (budget, arms) in zip(panels.flat, table.items(), strict=True):
        for line, values in enumerate(arms.values()):
            axes.plot(values["pq"], [line] * len(values["pq"]), "o", color="#1f6fb4")
            axes.plot(statistics.mean(values["pq"]), line, "|", color="#c93333", markersize=18, markeredgewidth=2)
        axes.set_title(budget, fontsize=10)
        axes.set_yticks(range(len(arms)), list(arms))
        axes.grid(axis="x", alpha=0.3)
    panels[0, 0].set_ylim(len(ARMS) - 0.5, -0.5)
    figure.supxlabel("PQ on the demo's scenes, a dot a seed")
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main()
