"""Table C of the paper in miniature: what masks and their annealing do to EoMT and to ViT-Adapter + Mask2Former.

    python benchmarks/table_c.py --shared ../shared --out outputs/table1 --steps 500

The trainings are those of `table1.py`, which shares the folder: its rows 0, 4 and 5 are Table C's too. Trained masked, a model is
scored masked; the others are scored without masks. Never masked, the last prediction alone is supervised, as in the paper.
`--modes` and `--seed` make it shorter. Interrupted, the same command goes on.
"""

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from arms import score_once, train_in_turn
from table1 import BATCH, EOMT, SEEDS, run_name, training_words

from eomt.train_scripts.data.scenes import write_scenes

NAMES = {0: "ViT-Adapter + Mask2Former", EOMT: "EoMT"}  # by row of Table 1
PAPER = {0: {"always": 57.1, "never": 54.0, "annealed": 56.8}, EOMT: {"always": 56.2, "never": 53.2, "annealed": 56.0}}
MODES = tuple(PAPER[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with the ViT, not part of this project")
    parser.add_argument("--out", type=Path, default=Path("outputs/table1"))
    parser.add_argument("--steps", type=int, default=500, help="of 8 images; every image is seen once")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES)
    parser.add_argument("--seed", type=int, nargs="+", default=SEEDS)
    args = parser.parse_args()
    data = args.out / "scenes"
    write_scenes(data, train=BATCH * args.steps, val=500)
    arms = [(row, mode, seed) for mode in args.modes for row in NAMES for seed in args.seed]
    train_in_turn({folder_name(*arm): arm_words(*arm, data, args) for arm in arms}, args.out)
    scores = {
        (row, mode): [
            score_once(args.out / folder_name(row, mode, seed), data, "panoptic", mode == "always")["pq"] for seed in args.seed
        ]
        for row, mode, _ in arms
    }
    report(scores, args.out)


def folder_name(row: int, mode: str, seed: int) -> str:
    """That of Table 1 where it has the same training."""
    if mode == "always":
        return run_name(EOMT - 1 if row == EOMT else row, seed)  # row 4 of Table 1 is EoMT with masks
    return run_name(row, seed) if (row, mode) == (EOMT, "annealed") else f"row{row}_{mode}_seed{seed}"


def arm_words(row: int, mode: str, seed: int, data: Path, args: argparse.Namespace) -> list:
    words = training_words(row, seed, data, args)
    return [mode if previous == "--masking" else word for previous, word in zip([None, *words], words, strict=False)]


def report(scores: Mapping[tuple[int, str], Sequence[float]], out: Path) -> None:
    """Prints a Markdown table, and stores `table_c.json`."""
    print("| | masking | PQ | by seed | paper: PQ |\n| --- | --- | --- | --- | --- |")
    for (row, mode), pq in sorted(scores.items()):
        cells = [NAMES[row], mode, f"{statistics.mean(pq):.1f}", " ".join(f"{value:.1f}" for value in pq), PAPER[row][mode]]
        print(f"| {' | '.join(map(str, cells))} |")
    table = [{"model": NAMES[row], "masking": mode, "pq": pq} for (row, mode), pq in scores.items()]
    (out / "table_c.json").write_text(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
