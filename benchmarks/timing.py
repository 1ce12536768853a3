"""What the timings share: calls in turn, their medians, peaks of memory, and the machine that they are of."""

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch


def timed(calls: Mapping[str, Callable], repeats: int, device: torch.device, warmups: int = 2) -> dict[str, float]:
    """Median seconds of each call. The calls take turns, so that a drift of the machine's speed meets all of them."""
    seconds = {name: [] for name in calls}
    for repeat in range(repeats + warmups):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if device.type != "cpu":
                torch.accelerator.synchronize()
            if repeat >= warmups:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def peak_memory(call: Callable) -> int:
    """Bytes of memory that this process takes during a call, above those that it has before; on Linux."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew: that of a new process is its parent's
    before = _memory("VmRSS")
    call()
    return _memory("VmHWM") - before


def _memory(name: str) -> int:
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split(f"{name}:")[1].split()[0])


def machine_name(device: torch.device) -> str:
    """`NVIDIA H200`, or `2 CPU threads (AMD EPYC, AVX512)`."""
    if device.type == "cuda":
        return torch.cuda.get_device_name()
    threads = torch.get_num_threads()
    return f"{threads} CPU thread{'s' if threads > 1 else ''} ({processor_name()}, {torch.backends.cpu.get_cpu_capability()})"


def processor_name() -> str:
    """The processor's name, where the system tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
