"""CamVid mIoU against transformers' own EoMT in the same minutes, from a DINOv2-S/14-derived ViT, on 2 cores.

    python benchmarks/camvid.py --shared ../shared --out outputs/camvid --seed 0

The rival is `baseline/stock_camvid.py` of the shared folder, unchanged: stock's model, matching and loss in a plain loop with the
official recipe. Both train at the same time, each on half of the cores for as many more minutes, and `--minutes` counts those of
the whole machine; both in bfloat16 or both in float32, whichever the processor is faster in. The rival's schedule needs its
number of steps, so its step is timed first, with both halves at work. Both finished models are scored by the rival's own scorer:
the short side as long as the model's input, 320 pixels for the rival, two windows, one confusion matrix at 480 x 360.
"""

import importlib.util
import json
import os
import shutil
from pathlib import Path
from types import ModuleType

import torch
import transformers
from arms import HERE, bf16_is_faster, parse_options, run_side_by_side, score, training_words

from eomt.train_scripts.data.formats.detection import Split
from eomt.train_scripts.data.formats.source import Options
from eomt.train_scripts.data.preparation import prepare

SIZE = 320
RIVAL = ["--size", SIZE, "--points", 4096, "--lr_h", 2e-4]  # as reference/baseline_camvid.md was measured
TIMED_STEPS = 24


def main() -> None:
    args = parse_options(__doc__, out="outputs/camvid", minutes=32.0)
    shared, out = Path(args.shared).resolve(), Path(args.out) / f"seed{args.seed}"
    shutil.rmtree(out, ignore_errors=True)
    rival = load_script(shared / "baseline" / "stock_camvid.py")
    write_dataset(shared / "data" / "camvid", out / "data", rival.NAMES)
    bf16 = bf16_is_faster()
    steps = round(60 * 2 * args.minutes / rival_seconds_a_step(shared, out / "timing", bf16))
    ours = training_words(args, Path(__file__).with_suffix(".yaml"), out / "data", out / "ours", bf16)
    stock = rival_words(shared, out / "stock", "stock", steps, args.seed, bf16)
    run_side_by_side({"ours": [HERE.parent / "train_scripts" / "train.py", *ours], "stock": stock}, out)
    report(rival, out, bf16)


def load_script(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_dataset(camvid: Path, out: Path, names: list[str]) -> None:
    splits = [Split(name, "masks", camvid / name, camvid / f"{name}annot") for name in ("train", "val")]
    prepare(splits, out, Options(kind="semantic", classes=names, void=[11]))


def rival_words(shared: Path, out: Path, name: str, steps: int, seed: int, bf16: bool) -> list:
    words = [shared / "baseline" / "stock_camvid.py", *RIVAL, "--steps", steps, "--seed", seed, "--name", name, "--out", out]
    return [*words, "--evals", "", "--save", 1, *(["--amp"] if bf16 else [])]


def rival_seconds_a_step(shared: Path, out: Path, bf16: bool) -> float:
    """Seconds a step of the rival on half of the cores, while the other half works as hard."""
    arms = {name: rival_words(shared, out, name, TIMED_STEPS, seed=0, bf16=bf16) for name in ("first", "second")}
    run_side_by_side(arms, out)
    times = [json.loads((out / f"{name}.train.json").read_text())["train_sec"] for name in arms]
    return sum(times) / len(times) / TIMED_STEPS


def report(rival: ModuleType, out: Path, bf16: bool) -> None:
    """Scores both models by the rival's scorer, and by this project's, which draws them as well."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    run = json.loads((out / "stock" / "stock.train.json").read_text())
    steps = {"stock": run["steps"], "ours": json.loads((out / "ours" / "trainer_state.json").read_text())["global_step"]}
    seconds = {"stock": run["train_sec"], "ours": json.loads((out / "ours" / "train_results.json").read_text())["train_runtime"]}
    stock = rival.build(SIZE)
    stock.load_state_dict(rival.load_file(out / "stock" / "stock.safetensors"), strict=False)  # an empty tensor wasn't stored
    stock.config.id2label = dict(enumerate(rival.NAMES))
    stock.save_pretrained(out / "stock")
    scores = {}
    for name in ("ours", "stock"):
        model = transformers.EomtForUniversalSegmentation.from_pretrained(out / name)
        scores[name] = rival.evaluate(model, rival.VAL(), model.config.image_size, masked=False, amp=bf16)
        by_ours = score(out / name, out / "data", "val", "semantic")["miou"]
        minutes, by_rival = seconds[name] / 60, scores[name]
        print(
            f"{name}: {steps[name]} steps in {minutes:.1f} minutes on half of the cores: mIoU {100 * by_rival['miou']:.2f}, "
            f"pixel accuracy {100 * by_rival['pixacc']:.2f} (this project's scorer in float32: mIoU {by_ours:.2f})",
            flush=True,
        )
    print(f"{'class':<12}" + "".join(f"{name:>8}" for name in scores))
    for label in rival.NAMES:
        print(f"{label:<12}" + "".join(f"{100 * by_rival['iou'][label]:8.1f}" for by_rival in scores.values()))
    (out / "scores.json").write_text(json.dumps({"scores": scores, "steps": steps, "seconds": seconds}, indent=1))


if __name__ == "__main__":
    main()
