"""Time of a forward pass of each row of Table 1, from ViT-Adapter + Mask2Former to EoMT, on a CPU or a GPU.

    python benchmarks/ladder_speed.py                                           ViT-S at 320 pixels, for 2 cores
    python benchmarks/ladder_speed.py --architecture large --image_size 640     the paper's, for a GPU

All rows see the same image and run in turn, so that a drift of the machine's speed meets all. Weights are random; figures are
medians. Rows 0 to 4 are masked, as at inference. On a GPU in bfloat16, on a CPU in float32. Nothing is compiled, where the paper
compiles: it gives 29, 36, 61, 64, 61 and 128 images a second for ViT-L at 640 pixels on an H100.
"""

import argparse

import torch
from speed import CLASSES, timed
from transformers import AutoModel

import eomt  # noqa: F401  which registers the Auto classes
from eomt.configuration import architecture_config, ladder_architecture

NAMES = (
    "(0) ViT-Adapter + Mask2Former",
    "(1) without ViT-Adapter",
    "(2) without pixel decoder",
    "(3) without multi-scale",
    "(4) without Transformer decoder",
    "(5) EoMT",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default="small", help="small, base, large or giant")
    parser.add_argument("--image_size", type=int, default=320, help="side of the square input, pixels")
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
    seconds = measure(args.architecture, args.image_size, args.repeats, device)
    for name, value in seconds.items():
        print(f"{name:32} {1000 * value:8.1f} ms {1 / value:8.1f} images/s {seconds[NAMES[-1]] / value:6.2f} of EoMT's speed")


@torch.no_grad()
def measure(architecture: str, image_size: int, repeats: int, device: torch.device) -> dict[str, float]:
    """{row: median seconds of a forward pass on one image}."""
    fields = dict(image_size=image_size, num_labels=CLASSES)
    configs = [ladder_architecture(architecture, row, **fields) for row in range(4)]
    configs += [architecture_config(architecture, **fields)] * 2
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    pixels = torch.randn(1, 3, image_size, image_size, device=device, dtype=dtype)
    passes = {}
    for name, config in zip(NAMES, configs, strict=True):
        model = AutoModel.from_config(config)
        model.set_attn_mask_probs([float(name != NAMES[-1])] * len(model.attn_mask_probs))
        model.to(device, dtype).eval()
        passes[name] = lambda model=model: model(pixel_values=pixels)
    return timed(passes, repeats, device)


if __name__ == "__main__":
    main()
