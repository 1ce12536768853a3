"""Time of a forward pass of each row of Table 1, from ViT-Adapter + Mask2Former to EoMT, on a CPU or a GPU.

    python benchmarks/ladder_speed.py                                           ViT-S at 320 pixels, for 2 cores
    python benchmarks/ladder_speed.py --architecture large --image_size 640     the paper's, for a GPU

All rows see the same image and run in turn, so that a drift of the machine's speed meets all. Weights are random; figures are
medians. Rows 0 to 4 are masked, as at inference. On a GPU in bfloat16, on a CPU in float32. Nothing is compiled, where the paper
compiles. The last column is the paper's, of ViT-L at 640 pixels on an H100.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from paper_rows import read_tables
from speed import CLASSES
from timing import machine_name, timed
from transformers import AutoModel

import eomt  # noqa: F401  which registers the Auto classes
from eomt.configuration import architecture_config, ladder_architecture

PAPER = {row.method: row.fps for row in read_tables()["Tables 1 and B"].rows}
*_, EOMT = PAPER


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", nargs="+", default=["small"], help="one or several of small, base, large and giant")
    parser.add_argument("--image_size", type=int, default=320, help="side of the square input, pixels")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--output", type=Path, metavar="JSON", help="file for the figures, which paper_tables.py --measured draws")
    args = parser.parse_args(words)
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    seconds = {}
    for architecture in args.architecture:
        seconds[architecture] = measure(architecture, args.image_size, args.repeats, device, dtype)
        print(f"{architecture} at {args.image_size}")
        print_speed(seconds[architecture])
    if args.output:
        run = {"machine": machine_name(device), "dtype": str(dtype).removeprefix("torch."), "torch": torch.__version__}
        run |= {"image_size": args.image_size, "repeats": args.repeats, "seconds": seconds}
        args.output.write_text(json.dumps(run, indent=2) + "\n", encoding="utf-8")


def print_speed(seconds: dict[str, float]) -> None:
    for row, value in seconds.items():
        times = f"EoMT is faster by {value / seconds[EOMT]:4.1f}, in the paper by {PAPER[EOMT] / PAPER[row]:4.1f}"
        print(f"{row:32} {1000 * value:8.1f} ms {1 / value:8.1f} images/s  {times}")


@torch.no_grad()
def measure(architecture: str, image_size: int, repeats: int, device: torch.device, dtype: torch.dtype) -> dict[str, float]:
    """{row: median seconds of a forward pass on one image}."""
    fields = dict(image_size=image_size, num_labels=CLASSES)
    configs = [ladder_architecture(architecture, row, **fields) for row in range(4)]
    configs += [architecture_config(architecture, **fields)] * 2
    pixels = torch.randn(1, 3, image_size, image_size, device=device, dtype=dtype)
    passes = {}
    for row, config in zip(PAPER, configs, strict=True):
        model = AutoModel.from_config(config)
        model.set_attn_mask_probs([float(row != EOMT)] * len(model.attn_mask_probs))
        model.to(device, dtype).eval()
        passes[row] = lambda model=model: model(pixel_values=pixels)
    return timed(passes, repeats, device)


if __name__ == "__main__":
    main()
