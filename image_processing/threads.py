"""One thread for work that consists of many short steps."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Within, PyTorch works in one thread; also a decorator.

    Post-processing works through an image in hundreds of steps of a millisecond. On a busy machine, threads that share such a step
    wait for the one that the system doesn't run, and a map of 1080 x 1920 pixels takes up to twenty times as long.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
