"""Full training, LoRA and a frozen encoder: time and memory of a training step side by side, and CamVid's mIoU of each.

    python benchmarks/lora.py --shared ../shared --out outputs/lora --steps 1500
    python benchmarks/lora.py --shared ../shared --out outputs/lora --steps 0                       (time and memory alone)

A ViT-S at 320 pixels in batches of 2, from the same DINOv2 weights. Steps of forward, backward and AdamW are timed on made-up
images, the arms taking turns; figures are medians. Memory is the peak of a process during its first steps beyond what it holds
before them: gradients, activations and the optimiser's state (on a CPU the resident set, on a GPU what torch allocates). Trainings
then run as a user's, one on each core, and are scored as a user's. Prints a Markdown table and writes `lora.json`.
Interrupted, the same command goes on.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from arms import BACKBONE, score_once, train_in_turn
from timing import machine_name, peak_memory, timed

from eomt.mask_classifier import MaskClassifier
from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.formats.source import Options
from eomt.train_scripts.data.formats.split import Split
from eomt.train_scripts.data.preparation import prepare
from eomt.train_scripts.training.adapters import Adapters
from eomt.train_scripts.training.building import build_model
from eomt.train_scripts.training.data_arguments import DataArguments
from eomt.train_scripts.training.model_arguments import ModelArguments

RECIPE = Path(__file__).with_suffix(".yaml")
CLASSES = "Sky Building Pole Road Pavement Tree Sign Fence Car Pedestrian Bicyclist".split()
VOID = 11  # in CamVid's masks
SIZE, BATCH, SEGMENTS = 320, 2, 11
CONFIG = '{"num_queries": 50, "num_blocks": 3, "train_num_points": 2048}'


@dataclass(frozen=True)
class Arm:
    """A way to train: the options of the model that it adds, and those of the run."""

    title: str
    model: dict
    words: tuple[str, ...] = ()


JITTER = ("--min_scale", "1.0", "--max_scale", "1.5")
ARMS = {
    "full": Arm("full", {}, (*JITTER, "--learning_rate", "1e-4")),
    "lora": Arm("LoRA, rank 16", {"lora": True}, (*JITTER, "--learning_rate", "1e-3", "--lora")),
    "frozen": Arm("frozen encoder", {"frozen_blocks": -1}, (*JITTER, "--learning_rate", "1e-4", "--frozen_blocks", "-1")),
    "cached": Arm(
        "frozen encoder, features cached, no augmentation",
        {"frozen_blocks": -1},
        ("--augment", "false", "--learning_rate", "1e-4", "--frozen_blocks", "-1", "--cache_features"),
    ),
}


def main() -> None:
    args = parse_arguments()
    if args.peak:
        print(peak_of(args))
        return
    table = measured(args)
    if args.steps:
        for name, score in trained(args).items():
            table[name]["miou"] = score
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "lora.json").write_text(json.dumps(table, indent=1))
    report(table)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--shared", type=Path, default=Path("../shared"), help="folder with data, which is not part of this project"
    )
    parser.add_argument("--out", type=Path, default=Path("outputs/lora"))
    parser.add_argument("--data", type=Path, help="CamVid as a dataset folder; by default prepared from the shared data")
    parser.add_argument("--steps", type=int, default=1500, help="of a training, of 2 images; 0: no training")
    parser.add_argument("--repeats", type=int, default=5, help="steps of an arm that are timed, after two to warm up")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bf16", action="store_true", help="steps under bfloat16 autocast; always on a GPU")
    parser.add_argument("--peak", choices=list(ARMS), help="print the peak memory of a step of this arm alone, MB")
    return parser.parse_args()


def device_of() -> torch.device:
    return torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")


def step_of(name: str, args: argparse.Namespace) -> tuple[MaskClassifier, Callable[[], None]]:
    """The model of an arm, and a training step of it."""
    torch.manual_seed(0)
    device = device_of()
    options = ModelArguments(timm_model=str(args.shared / BACKBONE), config=CONFIG, **ARMS[name].model)
    labels = Labels(CLASSES, [False] * len(CLASSES))
    model, _ = Adapters.of(build_model(options, DataArguments(data="", image_size=SIZE), labels))
    model.to(device).train()
    model.set_attn_mask_probs([0.5] * len(model.attn_mask_probs))
    pixels = torch.randn(BATCH, 3, SIZE, SIZE, device=device)
    id_maps = torch.randint(0, SEGMENTS, (BATCH, SIZE // 16, SIZE // 16), dtype=torch.int32, device=device)
    id_maps = id_maps.repeat_interleave(16, 1).repeat_interleave(16, 2)
    ids = [torch.arange(SEGMENTS, device=device)] * BATCH
    with torch.no_grad():
        given = {"encoded": model.encode_images(pixels)} if name == "cached" else {}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-5)

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=args.bf16 or device.type != "cpu"):
            loss = model(pixels, id_maps=id_maps, segment_ids=ids, class_labels=ids, **given).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return model, step


def measured(args: argparse.Namespace) -> dict[str, dict]:
    """Trained parameters, seconds and peak MB of a step, by arm."""
    device, table, steps = device_of(), {}, {}
    for name in ARMS:
        model, steps[name] = step_of(name, args)
        table[name] = {"trained": sum(p.numel() for p in model.parameters() if p.requires_grad)}
    for name, seconds in timed(steps, args.repeats, device).items():
        table[name]["seconds"] = seconds
        command = [sys.executable, __file__, "--peak", name, "--shared", str(args.shared), *(["--bf16"] if args.bf16 else [])]
        table[name]["peak"] = float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1])
    print(f"ViT-S at {SIZE}, steps of {BATCH}, {machine_name(device)}, torch {torch.__version__}", flush=True)
    return table


def peak_of(args: argparse.Namespace) -> float:
    """MB that three steps need at most beyond what is held before them."""
    _, step = step_of(args.peak, args)

    def steps() -> None:
        for _ in range(3):
            step()

    if device_of().type != "cuda":
        return peak_memory(steps) / 2**20
    held = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    steps()
    return (torch.cuda.max_memory_allocated() - held) / 2**20


def trained(args: argparse.Namespace) -> dict[str, float]:
    """Trains what is not trained yet; gives each arm's mIoU."""
    data = args.data or args.out / "camvid"
    if not (data / "labels.json").is_file():
        source = args.shared / "data" / "camvid"
        splits = [Split(name, "masks", source / name, source / f"{name}annot") for name in ("train", "val")]
        prepare(splits, data, Options(kind="semantic", classes=CLASSES, void=[VOID]))
    start = ["--recipe", RECIPE, "--timm_model", args.shared / BACKBONE, "--data", data, "--max_steps", args.steps]
    train_in_turn({name: [*start, *arm.words, "--seed", args.seed] for name, arm in ARMS.items()}, args.out)
    return {name: score_once(args.out / name, data, "semantic")["miou"] for name in ARMS}


def report(table: dict[str, dict]) -> None:
    full = table["full"]
    print("| training | trained parameters (M) | ms a step | of full | peak MB of a step | of full | mIoU |")
    print("| --- |" + " --- |" * 6)
    for name, row in table.items():
        cells = [ARMS[name].title, f"{row['trained'] / 1e6:.2f}", f"{1000 * row['seconds']:.0f}"]
        cells += [f"{row['seconds'] / full['seconds']:.2f}", f"{row['peak']:.0f}", f"{row['peak'] / full['peak']:.2f}"]
        cells.append(f"{row['miou']:.1f}" if "miou" in row else "")
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
