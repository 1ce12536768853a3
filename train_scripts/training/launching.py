"""Launches the training script in as many processes as a machine trains fastest with."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from eomt.train_scripts.data.process_end import EXIT_CODE


def process_count(batch_size: int) -> int:
    """Processes to train in: one where there is an accelerator, else the most cores that share a batch evenly.

    On a CPU, small models train faster in a process a core than in one with a thread a core.
    """
    if torch.accelerator.is_available():
        return 1
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(count for count in range(1, cores + 1) if batch_size % count == 0)


def launch_training(words: Sequence[str], batch_size: int) -> None:
    """Runs `train.py` through `accelerate launch`.

    Args:
        words: options of the training script.
        batch_size: images a step over all processes.

    Raises:
        subprocess.CalledProcessError: the training failed; its error was printed before.
        SystemExit: it was interrupted, and has said how to go on.
    """
    count = process_count(batch_size)
    script = [str(Path(__file__).parents[1] / "train.py"), *words]
    script += ["--total_batch_size", str(batch_size), "--per_device_train_batch_size", str(batch_size // count)]
    if count == 1:
        _run([sys.executable, *script])
        return
    # accelerate's --cpu ignores the number of processes; --multi_gpu starts them, and the script finds that there is no GPU
    launcher = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", str(count), "--num_machines", "1"]
    launcher += ["--num_cpu_threads_per_process", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    _run([sys.executable, *launcher, *script])


def _run(command: Sequence[str]) -> None:
    """Waits for a command that has to save a checkpoint when the terminal sends Ctrl-C to both of us."""
    process, interrupted = subprocess.Popen(command), False
    while True:
        try:
            code = process.wait()
            break
        except KeyboardInterrupt:
            interrupted = True
    if code == EXIT_CODE or (interrupted and code):
        sys.exit(EXIT_CODE)
    if code:
        raise subprocess.CalledProcessError(code, command)
