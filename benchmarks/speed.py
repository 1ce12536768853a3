"""Time of a forward pass and of a training step beside timm's plain ViT and transformers' EoMT, on a CPU or a GPU.

    python benchmarks/speed.py --image_size 640                                      a ViT-S, for 2 cores
    python benchmarks/speed.py --architecture large --image_size 640 --compile       the paper's model, for a GPU

All models have random weights, the two of EoMT the same, and run in turn. Figures are medians. Before a forward pass is timed, both
must give the same masks and classes. In training every block is masked with probability .5. On a GPU, forward passes run in
bfloat16 and training under bfloat16 autocast; on a CPU, in float32 unless --bf16. `criterion_speed.py` times the loss alone.
"""

import argparse
import multiprocessing
from collections.abc import Callable

import timm
import torch
import transformers
from timing import machine_name, peak_memory, timed
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
    """Prints the times of a plain ViT and of both EoMTs, without masks and with all blocks masked, by the ViT's."""
    dtype = torch.bfloat16 if bf16 else torch.float32
    models = {"plain ViT": plain_vit(args.architecture, args.image_size), **build_models(args)}
    pixels = torch.randn(args.batch_size, 3, args.image_size, args.image_size).to(device, dtype)
    for model in models.values():
        model.to(device, dtype).eval()
    passes: dict[str, Callable] = {"plain ViT": lambda: models["plain ViT"].forward_features(pixels)}
    for masked in (False, True):
        for name in ("ours", "stock"):
            passes[f"{name}, masked" if masked else name] = lambda name=name, masked=masked: run(models[name], pixels, masked)
    difference = largest_difference(*(passes[name]() for name in ("ours", "stock")))
    if difference > (1 if bf16 else 1e-3):
        raise RuntimeError(f"the outputs of ours and stock differ by {difference:.2g}; times of different models say nothing")
    if args.compile:
        compiled = torch.compile(models["ours"], fullgraph=True, mode="max-autotune")
        passes["ours, compiled"] = lambda: run(compiled, pixels, False)
    seconds = timed(passes, args.repeats, device)
    print(f"forward, batch {args.batch_size}; logits of ours and stock differ by {difference:.1g} at most")
    for name, value in seconds.items():
        ratio = value / seconds["plain ViT"]
        print(f"  {name}: {1000 * value:.1f} ms, {args.batch_size / value:.1f} images a second, {ratio:.2f} x the plain ViT")


def plain_vit(architecture: str, image_size: int) -> nn.Module:
    """timm's ViT of the same size, with class token and registers, without a head."""
    name = f"vit_{architecture}_patch14_reg4_dinov2"
    return timm.create_model(name, img_size=image_size, patch_size=16, num_classes=0)


def run(model: nn.Module, pixels: torch.Tensor, masked: bool):
    model.attn_mask_probs.fill_(float(masked))
    return model(pixel_values=pixels)


def largest_difference(ours, stock) -> float:
    """Between the logits of two outputs."""
    pairs = [(ours[name], stock[name]) for name in ("masks_queries_logits", "class_queries_logits")]
    return max((first - second).abs().max().item() for first, second in pairs)


def train(args: argparse.Namespace, device: torch.device, bf16: bool) -> None:
    """Prints the times of a step of both EoMTs, and what each needs in memory."""
    steps = {name: Step(model, args, device, bf16) for name, model in build_models(args).items()}
    peaks = {name: peak_of_step(name, args, step, device, bf16) for name, step in steps.items()}
    seconds = timed(steps, args.repeats, device)
    print(f"training step of {args.train_batch_size} images with {args.segments} segments each")
    for name in steps:
        print(f"  {name}: {1000 * seconds[name]:.0f} ms, {peaks[name] / 2**30:.2f} GiB above the weights")
    ratio, memory = seconds["stock"] / seconds["ours"], peaks["ours"] / peaks["stock"]
    print(f"  stock takes {ratio:.2f} x the time; ours needs {memory:.2f} x the memory")


class Step:
    """Loss and gradients of a batch."""

    def __init__(self, model: nn.Module, args: argparse.Namespace, device: torch.device, bf16: bool):
        self.model, self.device, self.bf16 = model.to(device).train(), device, bf16
        model.attn_mask_probs.fill_(0.5)
        size, batch = args.image_size, args.train_batch_size
        masks = [torch.rand(args.segments, size // 16, size // 16).gt(0.7).float() for _ in range(batch)]
        self.batch = {
            "pixel_values": torch.randn(batch, 3, size, size, device=device),
            "mask_labels": [mask.repeat_interleave(16, 1).repeat_interleave(16, 2).to(device) for mask in masks],
            "class_labels": [torch.arange(args.segments, device=device) for _ in range(batch)],
        }

    def __call__(self) -> None:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            loss = self.model(**self.batch).loss
        loss.backward()
        self.model.zero_grad()


def peak_of_step(name: str, args: argparse.Namespace, step: Step, device: torch.device, bf16: bool) -> int:
    """Bytes that the first step needs above the weights: of a GPU, or of a new process that runs it on the CPU."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return torch.cuda.max_memory_allocated() - before
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_peak_of_process, (name, args, bf16))


def _peak_of_process(name: str, args: argparse.Namespace, bf16: bool) -> int:
    return peak_memory(Step(build_models(args)[name], args, torch.device("cpu"), bf16))


if __name__ == "__main__":
    main()
