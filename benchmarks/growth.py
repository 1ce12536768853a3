"""Growth of time and memory with image size, queries and batch, beside the law of attention, plotted.

    python benchmarks/growth.py --plot docs/growth.png

A ViT-S, random weights, float32 on a CPU: forward passes without masks and with all blocks masked, and training steps (matching,
losses and gradients, blocks masked with probability .5). The law is that of the multiply-adds, counted by torch, which grow with
the tokens and, in attention, with their square: time over multiply-adds should not rise. Memory is the peak of a process of its own
above the weights; it should rise no faster than tokens x (1 + tokens / 4096), since masks alone have a bit a pair.
"""

import argparse
import json
import multiprocessing
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from speed import CLASSES, Step
from timing import machine_name, peak_memory, timed
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from eomt import EomtForUniversalSegmentation
from eomt.configuration import architecture_config

CPU = torch.device("cpu")
AXES = {
    "image_size": [160, 320, 480, 640, 960, 1280],
    "queries": [50, 100, 200, 400, 800],
    "batch": [1, 2, 4, 8],
}
LABELS = {"image_size": "side of the image, pixels", "queries": "queries, at 320 pixels", "batch": "images, of 320 pixels"}
KINDS = {"forward": "forward", "masked": "masked forward", "train": "training step"}
LARGEST_STEP = 640  # pixels of a training step's image


@dataclass(frozen=True)
class Case:
    """What is run."""

    kind: str  # of `KINDS`
    image_size: int = 320
    queries: int = 200
    batch: int = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default="small", help="small, base, large or giant")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--axes", nargs="+", choices=list(AXES), default=list(AXES))
    parser.add_argument("--output", type=Path, default=Path("outputs/growth.json"))
    parser.add_argument("--plot", type=Path, help="PNG; needs matplotlib, the extra `benchmarks`")
    args = parser.parse_args()
    print(f"{args.architecture}, {machine_name(CPU)}, float32, torch {torch.__version__}")
    records = {}
    for axis in args.axes:
        for kind in KINDS:
            cases = [
                Case(kind, **{axis: value})
                for value in AXES[axis]
                if not (kind == "train" and axis == "image_size" and value > LARGEST_STEP)
            ]
            records[f"{axis}, {kind}"] = measured(cases, args)
            print_growth(axis, kind, records[f"{axis}, {kind}"])
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps({"machine": machine_name(CPU), "records": records}, indent=1))
    if args.plot:
        plot(records, args.plot)


def measured(cases: list[Case], args: argparse.Namespace) -> list[dict]:
    """Seconds, multiply-adds and peak bytes of each case, with its fields."""
    calls = {case: call_of(case, args.architecture) for case in cases}
    seconds = timed(calls, args.repeats, CPU, warmups=1)
    return [
        {**asdict(case), "seconds": seconds[case], "macs": multiply_adds(call), "bytes": peak(case, args.architecture)}
        for case, call in calls.items()
    ]


def call_of(case: Case, architecture: str) -> Callable[[], object]:
    torch.manual_seed(0)
    names = {index: str(index) for index in range(CLASSES)}
    config = architecture_config(architecture, image_size=case.image_size, num_queries=case.queries, id2label=names)
    model = EomtForUniversalSegmentation(config)
    if case.kind == "train":
        fields = argparse.Namespace(image_size=case.image_size, train_batch_size=case.batch, segments=16)
        return Step(model, fields, CPU, bf16=False)
    model.eval().set_attn_mask_probs([float(case.kind == "masked")] * config.num_blocks)
    pixels = torch.randn(case.batch, 3, case.image_size, case.image_size)

    def forward() -> None:
        with torch.no_grad():
            model(pixel_values=pixels)

    return forward


def multiply_adds(call: Callable) -> int:
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:  # torch counts no fused attention on a CPU
        call()
    return counter.get_total_flops() // 2


def peak(case: Case, architecture: str) -> int:
    """Bytes that the first call needs above the weights, in a new process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak_of_process, (case, architecture))


def _peak_of_process(case: Case, architecture: str) -> int:
    return peak_memory(call_of(case, architecture))


def print_growth(axis: str, kind: str, records: list[dict]) -> None:
    """Time and memory at each point, and how the time stands to multiply-adds, beside the first point."""
    first = records[0]["seconds"] / records[0]["macs"]
    print(f"{KINDS[kind]}, by {axis}")
    for record in records:
        beside = record["seconds"] / record["macs"] / first
        print(f"  {record[axis]:>5}: {1000 * record['seconds']:9.1f} ms, {record['macs'] / 1e9:8.1f} GMACs, ", end="")
        print(f"time over multiply-adds {beside:.2f} of the first's, {record['bytes'] / 2**20:7.0f} MiB")


def plot(records: dict[str, list[dict]], path: Path) -> None:
    """Time above and memory below, a column an axis, both logarithmic; dashed, what multiply-adds predict from the first point."""
    import matplotlib.pyplot as plt  # an extra

    axes = [axis for axis in AXES if any(name.startswith(axis) for name in records)]
    figure, panels = plt.subplots(2, len(axes), figsize=(4.2 * len(axes), 7), squeeze=False, layout="constrained")
    for column, axis in enumerate(axes):
        for colour, (kind, label) in enumerate(KINDS.items()):
            points = records[f"{axis}, {kind}"]
            along = [point[axis] for point in points]
            law = [points[0]["seconds"] * point["macs"] / points[0]["macs"] for point in points]
            panels[0, column].plot(along, [point["seconds"] for point in points], "o-", color=f"C{colour}", label=label)
            panels[0, column].plot(along, law, "--", color=f"C{colour}", alpha=0.6)
            panels[1, column].plot(along, [point["bytes"] / 2**20 for point in points], "o-", color=f"C{colour}", label=label)
        for panel, unit in zip(panels[:, column], ("seconds", "MiB above the weights"), strict=True):
            panel.set(xscale="log", yscale="log", xlabel=LABELS[axis], ylabel=unit, xticks=AXES[axis])
            panel.set_xticks(AXES[axis], [str(value) for value in AXES[axis]])
            panel.minorticks_off()
            panel.grid(alpha=0.3)
    panels[0, 0].legend(title="dashed: by multiply-adds")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
