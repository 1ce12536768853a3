"""Time of a forward pass and of a training step against transformers' own EoMT, on a CPU or a GPU.

    python benchmarks/speed.py                                                       a ViT-S at 320 pixels, for 2 cores
    python benchmarks/speed.py --architecture large --image_size 640 --compile       the paper's model, for a GPU

Both models have the same random weights, images and labels, and run in turn, so that a drift of the machine's speed meets both.
Figures are medians. Forward passes are unmasked, as those of a finished model; in training every block is masked with
probability .5. On a GPU, forward passes run in bfloat16 and training under bfloat16 autocast; on a CPU, in float32 unless --bf16.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import transformers
from torch import nn

from eomt import EomtForUniversalSegmentation
from eomt.configuration import architecture_config

CLASSES = 133


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default="small", help="small, base, large or giant")
    parser.add_argument("--image_size", type=int, default=320, help="side of the square input, pixels")
    parser.add_argument("--batch_size", type=int, default=1, help="images of a forward pass")
    parser.add_argument("--train_batch_size", type=int, default=2, help="images of a training step; 0: no training")
    parser.add_argument("--segments", type=int, default=16, help="segments of a training image")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--bf16", action="store_true", help="also on a CPU")
    parser.add_argument(
        "--compile", action="store_true", help="forward passes compiled as well; ours alone, stock's is no one graph"
    )
    args = parser.parse_args()
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
    bf16 = args.bf16 or device.type != "cpu"
    dtype = "bfloat16" if bf16 else "float32"
    print(f"{args.architecture} at {args.image_size}, {machine_name(device)}, {dtype}, torch {torch.__version__}")
    forward(args, device, bf16)
    if args.train_batch_size:
        train(args, device, bf16)


def build_models(args: argparse.Namespace) -> dict[str, nn.Module]:
    torch.manual_seed(0)
    names = {index: str(index) for index in range(CLASSES)}
    config = architecture_config(args.architecture, image_size=args.image_size, id2label=names)
    ours = EomtForUniversalSegmentation(config)
    stock = transformers.EomtForUniversalSegmentation(transformers.EomtConfig(**config.to_dict()))
    stock.load_state_dict(ours.state_dict(), strict=False)  # transformers' has a buffer of positions besides
    return {"ours": ours, "stock": stock}


@torch.no_grad()
def forward(args: argparse.Namespace, device: torch.device, bf16: bool) -> None:
    models = build_models(args)
    pixels = torch.randn(args.batch_size, 3, args.image_size, args.image_size, device=device)
    for model in models.values():
        model.attn_mask_probs.zero_()
        model.to(device, torch.bfloat16 if bf16 else torch.float32).eval()
    passes = {name: lambda model=model: model(pixel_values=pixels.to(model.dtype)) for name, model in models.items()}
    if args.compile:
        compiled = torch.compile(models["ours"], fullgraph=True, mode="max-autotune")
        passes["ours, compiled"] = lambda: compiled(pixel_values=pixels.to(models["ours"].dtype))
    for name, seconds in timed(passes, args.repeats, device).items():
        print(f"forward, {name}: {1000 * seconds:.1f} ms, {args.batch_size / seconds:.1f} images a second")


def train(args: argparse.Namespace, device: torch.device, bf16: bool) -> None:
    models = build_models(args)
    size, batch = args.image_size, args.train_batch_size
    pixels = torch.randn(batch, 3, size, size, device=device)
    masks = [torch.rand(args.segments, size // 16, size // 16).gt(0.7).float() for _ in range(batch)]
    masks = [mask.repeat_interleave(16, 1).repeat_interleave(16, 2).to(device) for mask in masks]
    classes = [torch.arange(args.segments, device=device) for _ in range(batch)]

    def step(model: nn.Module) -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            loss = model(pixel_values=pixels, mask_labels=masks, class_labels=classes).loss
        loss.backward()
        model.zero_grad()

    for model in models.values():
        model.attn_mask_probs.fill_(0.5)
        model.to(device).train()
    peaks = {}
    if device.type == "cuda":
        for name, model in models.items():
            torch.cuda.reset_peak_memory_stats()
            held = torch.cuda.memory_allocated()
            step(model)
            peaks[name] = f", {(torch.cuda.max_memory_allocated() - held) / 2**30:.1f} GiB above the weights"
    steps = {name: lambda model=model: step(model) for name, model in models.items()}
    seconds = timed(steps, args.repeats, device)
    for name in models:
        print(f"training step of {batch}, {name}: {1000 * seconds[name]:.0f} ms{peaks.get(name, '')}")
    print(f"training step: stock takes {seconds['stock'] / seconds['ours']:.2f} times as long")


def machine_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name()
    threads = torch.get_num_threads()
    return f"{threads} CPU thread{'s' if threads > 1 else ''}"


def timed(calls: dict[str, Callable], repeats: int, device: torch.device) -> dict[str, float]:
    """Median seconds of each call, the calls taking turns."""
    seconds = {name: [] for name in calls}
    for repeat in range(repeats + 2):  # two to warm up
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if device.type != "cpu":
                torch.accelerator.synchronize()
            if repeat >= 2:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


if __name__ == "__main__":
    main()
