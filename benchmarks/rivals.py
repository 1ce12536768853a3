"""EoMT beside transformers' Mask2Former, MaskFormer, OneFormer and stock EoMT: same data, same metrics, same timing, one table.

    python benchmarks/rivals.py --checkpoints outputs/coco facebook/mask2former-swin-tiny-coco-panoptic --stock outputs/coco \\
        --data data/coco --task panoptic --images 50 --output rivals.json

Each model is scored as by `eomt score`, through its own processors. For the latency all models are loaded, and each photo goes
through one after the other, so that what slows the machine slows all. Warm-up photos are left out, and figures are medians.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import torch
from accelerate import PartialState
from transformers.hf_argparser import string_to_bool

from eomt.train_scripts.data.choices import TASK_NAMES
from eomt.train_scripts.data.dataset_folder import read_labels
from eomt.train_scripts.evaluation.inference_options import ScoreOptions
from eomt.train_scripts.evaluation.latency import first_images, measure_latency
from eomt.train_scripts.evaluation.precision import NAMES, chosen_dtype, describe_machine
from eomt.train_scripts.evaluation.score_tables import COLUMNS, costs, table
from eomt.train_scripts.evaluation.scoring import load_segmenter, score
from eomt.train_scripts.evaluation.tasks import task_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoints", nargs="*", default=[], help="of this package, or of transformers' models, a row each")
    parser.add_argument("--stock", nargs="*", default=[], help="EoMT checkpoints that transformers' code runs, a row each")
    parser.add_argument("--data", required=True, help="folder of parquet shards and labels.json")
    parser.add_argument("--split", default="val", help="prefix of the shards to score")
    parser.add_argument("--task", required=True, choices=TASK_NAMES)
    parser.add_argument("--images", type=int, default=50, help="that are timed, the first ones of the split")
    parser.add_argument("--bf16", type=string_to_bool, help="autocast; by default where it is faster")
    parser.add_argument("--output", type=Path, help="JSON file for scores and times")
    args = parser.parse_args()
    if not args.checkpoints + args.stock:
        parser.error("nothing to compare; give --checkpoints or --stock")
    rows = compare(rows_of(args), args.images)
    columns = list(
        dict.fromkeys(column for row in rows.values() for column in (*COLUMNS, *costs(row)) if column in row | costs(row))
    )
    print(table(args.task, columns, {name: [(row | costs(row)).get(column) for column in columns] for name, row in rows.items()}))
    if args.output:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        args.output.write_text(json.dumps(rows, indent=1))


def rows_of(args: argparse.Namespace) -> dict[str, ScoreOptions]:
    """{name of a row: what is scored}."""
    common = dict(data=args.data, split=args.split, task=args.task, bf16=args.bf16, bad_samples="skip")
    rows = {name: ScoreOptions(checkpoint=name, **common) for name in args.checkpoints}
    for name in args.stock:
        rows[f"{name}, transformers' code"] = ScoreOptions(checkpoint=name, implementation="transformers", **common)
    return rows


def compare(rows: dict[str, ScoreOptions], images: int) -> dict[str, dict]:
    """The scores of each row, with its latency. All are loaded and timed first, so that one that can't be scored stops it early."""
    options = next(iter(rows.values()))
    task, labels = task_of(options.task), read_labels(options.data)
    device = PartialState(cpu=not torch.accelerator.is_available()).device
    dtype = chosen_dtype(device, options.bf16)
    print(f"{images} images are timed in {describe_machine(device, dtype, 'sdpa', 1)}", flush=True)
    segmenters = {name: load_segmenter(row, task, labels, device, dtype) for name, row in rows.items()}
    latencies = measure_latency(segmenters, first_images(options.data, options.split, images))
    del segmenters
    results = {}
    for name, row in rows.items():
        scores, _ = score(**asdict(row))
        results[name] = {**scores, "latency": latencies[name].as_dict(), "precision": NAMES[dtype]}
    return results


if __name__ == "__main__":
    main()
