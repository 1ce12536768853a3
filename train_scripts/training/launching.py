"""Launches the training script in as many processes as a machine trains fastest with."""

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from eomt.train_scripts.data.process_end import EXIT_CODE

NOISY = [f"torch.distributed.{name}.api" for name in ("launcher", "elastic.agent.server", "elastic.multiprocessing")]  # loggers
THREADS = "OMP_NUM_THREADS"
SAVING = 600  # seconds that processes may take to end, once they are interrupted


def process_count(batch_size: int) -> int:
    """Processes to train in: one where there is an accelerator, else the most cores that share a batch evenly.

    On a CPU, small models train faster in a process a core than in one with a thread a core.
    """
    if torch.accelerator.is_available():
        return 1
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(count for count in range(1, cores + 1) if batch_size % count == 0)


def launch_training(words: Sequence[str], batch_size: int) -> None:
    """Runs `train.py` in [`process_count`] processes with a thread each, by the launcher of PyTorch that `torchrun` is made of.

    `accelerate launch` starts the same processes, but ends in a traceback of its own when they are interrupted or fail.

    Args:
        words: options of the training script.
        batch_size: images a step over all processes.

    Raises:
        SystemExit: the training failed, or was interrupted; it has said why, and how to go on.
    """
    count = process_count(batch_size)
    script = [str(Path(__file__).parents[1] / "train.py"), *words]
    script += ["--total_batch_size", str(batch_size), "--per_device_train_batch_size", str(batch_size // count)]
    config = LaunchConfig(1, 1, count, rdzv_backend="c10d", rdzv_endpoint="localhost:0", max_restarts=0, shutdown_timeout=SAVING)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        with _one_thread_each(count):
            elastic_launch(config, sys.executable)(*script)
    except SignalException:
        sys.exit(EXIT_CODE)
    except ChildFailedError as error:
        sys.exit(max(failure.exitcode for failure in error.failures.values()))


@contextmanager
def _one_thread_each(count: int) -> Iterator[None]:
    """Several processes that are started within it have a thread each; one has PyTorch's default."""
    before = os.environ.get(THREADS)
    if count > 1:
        os.environ[THREADS] = "1"
    yield
    if before is None:
        os.environ.pop(THREADS, None)
    else:
        os.environ[THREADS] = before
