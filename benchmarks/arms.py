"""What comparisons share: arms that run side by side, each on its share of the cores, so that what slows one slows the other."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from eomt.train_scripts.evaluation.checkpoints import FINISHED

HERE = Path(__file__).parent
BACKBONE = Path("data") / "vits14" / "vit_small_patch14_dinov2_fp16.safetensors"


def parse_options(description: str, out: str, minutes: float) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", default="../shared", help="folder with data and baseline, which are not part of this project")
    parser.add_argument("--out", default=out, help="folder for the dataset, the models and the pictures, a folder a seed")
    parser.add_argument("--minutes", type=float, default=minutes, help="training time of an arm, in minutes of the whole machine")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def run_side_by_side(commands: Mapping[str, Sequence[str | Path | float]], logs: Path) -> None:
    """Runs Python scripts at the same time and waits for all.

    Args:
        commands: the words after `python` of each arm.
        logs: folder of their outputs, `<arm>.log`.

    Raises:
        ValueError: there are fewer cores than arms.
        RuntimeError: an arm failed; names its log.
    """
    cores = sorted(os.sched_getaffinity(0))
    share = len(cores) // len(commands)
    if not share:
        raise ValueError(f"{len(commands)} arms need as many cores, but there are {len(cores)}; run them on a larger machine")
    running = {}
    for index, (name, words) in enumerate(commands.items()):
        running[name] = start(words, cores[index * share : (index + 1) * share], logs / f"{name}.log")
    if failed := [str(logs / f"{name}.log") for name, process in running.items() if process.wait()]:
        raise RuntimeError(f"an arm failed; see {', '.join(failed)}")


def train_in_turn(runs: Mapping[str, Sequence[str | Path | float]], out: Path) -> None:
    """Trains each run into `out / <run>`, one on every core as cores become free. Run again, it goes on where it stopped.

    Args:
        runs: options of the training script, without output folder and precision, in the order of their starts.

    Raises:
        RuntimeError: a training failed; names its log.
    """
    bf16 = settled_bf16(out)
    waiting = [name for name in runs if not (out / name / FINISHED).is_file()]
    free, running = sorted(os.sched_getaffinity(0)), {}
    while waiting or running:
        if waiting and free:
            name, core = waiting.pop(0), free.pop(0)
            words = [HERE.parent / "train_scripts" / "train.py", *runs[name], "--output_dir", out / name, "--bf16", bf16]
            running[name] = (core, start(words, [core], out / f"{name}.log"))
            continue
        time.sleep(1)
        for name, (core, process) in list(running.items()):
            if process.poll() is not None:
                del running[name]
                free.append(core)
                if process.returncode:
                    for _, other in running.values():
                        other.send_signal(signal.SIGINT)  # it saves a checkpoint
                        other.wait()
                    raise RuntimeError(f"a training failed; see {out / f'{name}.log'}")


def start(words: Sequence[str | Path | float], cores: Sequence[int], log: Path) -> subprocess.Popen:
    """Starts a Python script on some of the cores, with as many threads."""
    log.parent.mkdir(parents=True, exist_ok=True)
    command = ["taskset", "--cpu-list", ",".join(map(str, cores)), sys.executable, *map(str, words)]
    threads = str(len(cores))
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "NT": threads, "TQDM_MININTERVAL": "30"}  # NT: the shared baselines'
    print(f"{log.stem}: on {len(cores)} cores, log {log}", flush=True)
    with open(log, "w") as file:
        return subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment)


def settled_bf16(out: Path) -> bool:
    """Whether trainings into a folder are in bfloat16: measured once, since those that go on later must have the same."""
    path = out / "precision.json"
    if not path.is_file():
        out.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(bf16_is_faster()))
    return json.loads(path.read_text())


def bf16_is_faster() -> bool:
    """Whether this processor multiplies matrices of a ViT-S faster in bfloat16 than in float32; not all that have it do."""
    seconds = {}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for dtype in (torch.float32, torch.bfloat16):
        rows, weight = torch.randn(1600, 384, dtype=dtype), torch.randn(1536, 384, dtype=dtype)
        torch.nn.functional.linear(rows, weight)
        start = time.perf_counter()
        for _ in range(50):
            torch.nn.functional.linear(rows, weight)
        seconds[dtype] = time.perf_counter() - start
    torch.set_num_threads(threads)
    ratio = seconds[torch.float32] / seconds[torch.bfloat16]
    faster = ratio > 1
    print(
        f"bfloat16 is {ratio:.2f} times as fast as float32 here: all arms train in {'bfloat16' if faster else 'float32'}",
        flush=True,
    )
    return faster


def training_words(args: argparse.Namespace, recipe: Path, data: Path, out: Path, bf16: bool) -> list[str | Path | float]:
    """Options of the training script; `--minutes` in those of half of the machine."""
    words = ["--recipe", recipe, "--timm_model", Path(args.shared) / BACKBONE, "--data", data, "--output_dir", out]
    return [*words, "--minutes", 2 * args.minutes, "--seed", args.seed, "--bf16", bf16]


def score(checkpoint: Path, data: Path, split: str, task: str, masked: bool = False, tiles: float | None = None) -> dict:
    """Scores a checkpoint with the scorer that users have, and draws it: `scores.json` and `picture.png` beside the model; with
    masked attention `masked_scores.json` and `masked_picture.png`, and with tiles `tiles_scores.json` and `tiles_picture.png`."""
    script, prefix = HERE.parent / "train_scripts" / "score.py", "masked_" if masked else "tiles_" if tiles else ""
    path, picture = checkpoint / f"{prefix}scores.json", checkpoint / f"{prefix}picture.png"
    words = ["--checkpoint", checkpoint, "--data", data, "--split", split, "--task", task, "--output", path, "--picture", picture]
    words += ["--masked", masked, *(["--tiles", tiles] if tiles else [])]
    subprocess.run(list(map(str, [sys.executable, script, *words])), check=True)
    return json.loads(path.read_text())


def score_once(checkpoint: Path, data: Path, task: str, masked: bool = False) -> dict:
    """The scores of a checkpoint, on the split `val`; what has been scored is read."""
    path = checkpoint / ("masked_scores.json" if masked else "scores.json")
    return json.loads(path.read_text()) if path.is_file() else score(checkpoint, data, "val", task, masked)


def compare_models(
    args: argparse.Namespace,
    recipe: Path,
    out: Path,
    task: str,
    split: str,
    stock_words: Sequence[str] = (),
    tiles: float | None = None,
) -> None:
    """Trains our model and transformers' in one loop at the same time on `out / "data"`, scores both and prints it.

    Args:
        stock_words: options of the training of transformers' model that differ from the recipe.
        tiles: their scale, with which both are scored as well, by this package's code: transformers has none.
    """
    scripts = {"ours": HERE.parent / "train_scripts" / "train.py", "stock": HERE / "stock_model.py"}
    bf16 = bf16_is_faster()
    words = {name: training_words(args, recipe, out / "data", out / name, bf16) for name in scripts}
    words["stock"] += stock_words
    run_side_by_side({name: [script, *words[name]] for name, script in scripts.items()}, out)
    for name in scripts:
        state = json.loads((out / name / "trainer_state.json").read_text())
        seconds = json.loads((out / name / "train_results.json").read_text())["train_runtime"]
        print(f"{name}: {state['global_step']} steps in {seconds / 60:.1f} minutes on half of the cores", flush=True)
        print(f"  whole images: {shown(score(out / name, out / 'data', split, task))}", flush=True)
        if tiles:
            print(f"  and tiles of {tiles}: {shown(score(out / name, out / 'data', split, task, tiles=tiles))}", flush=True)


def shown(scores: dict) -> str:
    names = [key for key, value in scores.items() if isinstance(value, float) and key not in ("threshold", "tolerance", "tiles")]
    return ", ".join(f"{name} {scores[name]:.1f}" for name in names)
