"""Threads that work side by side, each alone on what it was given, in place of threads that share every step."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST = 4  # threads: each holds maps of the image's size

_lock = threading.Lock()  # of the two numbers below
_running = 0  # calls of `one_thread` in this process
_before = 1  # PyTorch's threads, as the first of these calls found them


class _Here(threading.local):
    """Of each thread, whether it is inside `one_thread`."""

    inside = False


_here = _Here()


@contextmanager
def one_thread() -> Iterator[None]:
    """Within, PyTorch works in one thread; also a decorator.

    Post-processing works through an image in hundreds of steps of a millisecond. On a busy machine, threads that share such a step
    wait for the one that the system doesn't run, and a map of 1080 x 1920 pixels takes up to twenty times as long.

    PyTorch's number is each thread's own, and besides it gives new threads the number that was set last, in whatever thread. So a
    thread that begins during another one's call finds 1; it leaves with the number from before that call.
    """
    global _running, _before
    with _lock:
        threads, inside = _threads_outside(), _here.inside
        if not _running:
            _before = threads
        _running += 1
        torch.set_num_threads(1)
    _here.inside = True
    try:
        yield
    finally:
        _here.inside = inside
        with _lock:
            _running -= 1
            torch.set_num_threads(threads)


def _threads_outside() -> int:
    """PyTorch's threads in this thread as they would be without other threads' calls of [`one_thread`]. Needs the lock."""
    threads = torch.get_num_threads()
    return _before if threads == 1 and _running and not _here.inside else threads


def _begin() -> None:
    """Puts a new thread inside its starter's call of [`one_thread`]."""
    _here.inside = True
    torch.set_num_threads(1)


def side_by_side(work: Callable[[Sequence[Item]], Result], items: Sequence[Item], device: torch.device) -> list[Result]:
    """`work` of each of some runs of `items`, in their order, each in a thread in which PyTorch works alone.

    Threads wait for each other once, at the end. There are as many as PyTorch has, up to `MOST`; on an accelerator, whose work
    isn't done in threads, there is one.

    Args:
        work: is called with successive items.
        items: for instance (n, h, w) logits of n masks.
        device: that computes.
    """
    with _lock:
        threads = _threads_outside()
    count = max(1, min(threads, MOST, len(items))) if device.type == "cpu" else 1
    if count == 1:
        with one_thread():
            return [work(items)]
    bounds = [len(items) * i // count for i in range(count + 1)]
    runs = [items[start:end] for start, end in zip(bounds, bounds[1:], strict=False)]
    inference = torch.is_inference_mode_enabled()

    def in_thread(run: Sequence[Item]) -> Result:
        with torch.inference_mode(inference), torch.no_grad():  # a thread begins without either
            return work(run)

    with one_thread(), ThreadPoolExecutor(count, initializer=_begin) as pool:
        return list(pool.map(in_thread, runs))
