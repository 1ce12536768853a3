"""The number format and the attention that a machine is fast in, unless options say otherwise.

Both follow from the machine's features and not from timings: a run that goes on later, or in other processes, then chooses alike.
"""

from contextlib import AbstractContextManager, nullcontext

import torch

NAMES = {torch.float32: "float32", torch.bfloat16: "bfloat16 autocast", torch.float16: "float16 autocast"}


def fast_dtype(device: torch.device) -> torch.dtype:
    """The format of autocast in which a device is fastest; float32 for none.

    On a CPU, bfloat16 is faster where the processor has units that multiply it (AVX512-BF16, AMX), and about ten times slower
    than float32 elsewhere. GPUs of NVIDIA have such units from compute capability 8.0 on, and for float16 from 7.0 on.
    """
    if device.type == "cpu":
        return torch.bfloat16 if _cpu_multiplies_bfloat16() else torch.float32
    if device.type == "cuda":
        major, _ = torch.cuda.get_device_capability(device)
        return torch.bfloat16 if major >= 8 else torch.float16 if major == 7 else torch.float32
    return torch.bfloat16 if device.type in ("xpu", "npu") else torch.float32


def _cpu_multiplies_bfloat16() -> bool:
    # what PyTorch's kernels use may be limited by ATEN_CPU_CAPABILITY, to try out how another processor behaves
    if not torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        return False
    # older releases of PyTorch don't tell the features: with them a CPU computes in float32 unless bfloat16 is asked for
    features = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(features.get("avx512_bf16") or features.get("amx_bf16"))


def is_fast_in_bfloat16() -> bool:
    """Whether the device that a run takes, unless options say otherwise, is fastest in bfloat16."""
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
    return fast_dtype(device) == torch.bfloat16


def chosen_dtype(device: torch.device, bf16: bool | None) -> torch.dtype:
    """The format of autocast that an option asks for, or where it isn't given, [`fast_dtype`]."""
    return fast_dtype(device) if bf16 is None else torch.bfloat16 if bf16 else torch.float32


def fast_attention(device: torch.device, dtype: torch.dtype, training: bool) -> str:
    """The attention implementation that is fastest: on a CPU, training in bfloat16 is faster written out than fused."""
    return "eager" if training and device.type == "cpu" and dtype == torch.bfloat16 else "sdpa"


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager:
    """The context of a forward pass in `dtype`, over float32 weights."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)


def describe_machine(device: torch.device, dtype: torch.dtype, attention: str, processes: int) -> str:
    """`2 processes on the CPU (AVX512, 1 thread each), bfloat16 autocast, eager attention`."""
    threads = torch.get_num_threads()
    if device.type == "cpu":
        where = f"the CPU ({torch.backends.cpu.get_cpu_capability()}, {threads} thread{'s' if threads > 1 else ''} each)"
    else:
        where = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type.upper()
    return f"{processes} process{'es' if processes > 1 else ''} on {where}, {NAMES[dtype]}, {attention} attention"
