"""Tensors that claim to be on a GPU and compute on the CPU, so that tests find what mixes devices where there is no GPU.

As on a GPU, an operation fails whose tensors are on several devices, but for CPU tensors without dimensions and CPU indices of a
tensor on the device. Values are real: results can be compared with those of the CPU.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

DEVICE = torch.device("cuda:0")
INDEXING = ("index.Tensor", "index_put.default", "index_put_.default", "_index_put_impl_.default")


class PretendedTensor(torch.Tensor):
    """Holds a CPU tensor, and says that it is on `DEVICE`."""

    @staticmethod
    def __new__(cls, held: torch.Tensor, requires_grad: bool = False):
        return torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=DEVICE,
            requires_grad=requires_grad,
        )

    def __init__(self, held: torch.Tensor, requires_grad: bool = False):
        self.held = held

    def numpy(self, *args, **kwargs):
        raise TypeError("can't convert a tensor of a device to numpy; copy it to host memory first")

    __array__ = numpy

    def tolist(self):
        return self.held.tolist()

    def __repr__(self, **kwargs):
        return f"PretendedTensor({self.held!r})"

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return run(function, args, kwargs or {})


def run(function: Any, args: tuple, kwargs: dict) -> Any:
    """Runs an operation on what the tensors hold, and says of the results that they are where the operation was."""
    name = str(function).removeprefix("aten.")
    asked = kwargs.get("device")
    asked = None if asked is None else torch.device(asked)
    operands = (args[:1] if name in INDEXING else args, kwargs)
    tensors = [leaf for leaf in tree_leaves(operands) if isinstance(leaf, torch.Tensor)]
    pretended = any(isinstance(leaf, PretendedTensor) for leaf in tree_leaves((args, kwargs)))
    copies = name in ("_to_copy.default", "copy_.default")
    placed = {tensor.device.type for tensor in tensors if isinstance(tensor, PretendedTensor) or tensor.ndim}
    if not copies and (len(placed) > 1 or (pretended and not any(isinstance(leaf, PretendedTensor) for leaf in tensors))):
        raise RuntimeError(f"{name}: expected all tensors to be on the same device, but found them on {sorted(placed)}")
    held_args, held_kwargs = tree_map_only(PretendedTensor, lambda tensor: tensor.held, (args, kwargs))
    if asked is not None:
        held_kwargs["device"] = torch.device("cpu")
    result = function(*held_args, **held_kwargs)
    there = asked.type == DEVICE.type if asked is not None else pretended
    if name == "copy_.default":
        return args[0]
    if function._schema.name.endswith("_") and args and isinstance(args[0], PretendedTensor):
        return args[0]
    if "out" in kwargs:
        return kwargs["out"]
    return tree_map_only(torch.Tensor, PretendedTensor, result) if there else result


class PretendedDevice(TorchDispatchMode):
    """Within, `device="cuda:0"` makes pretended tensors."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return run(function, args, kwargs or {})


@contextmanager
def pretended_device() -> Iterator[None]:
    """Attention is computed by its plain formula: the kernel is chosen by the device, and a GPU's doesn't run here."""
    torch._C._ensureCUDADeviceGuardSet()  # as FakeTensorMode does: where there is no GPU, guards of one do nothing
    torch._C._set_only_lift_cpu_tensors(True)  # `torch.tensor(list, device="cuda:0")` begins on the CPU
    generator = torch.Generator
    without_cuda = patch("torch.cuda._lazy_init", lambda: None), patch("torch.Generator", lambda device=None: generator())
    with without_cuda[0], without_cuda[1], PretendedDevice(), sdpa_kernel(SDPBackend.MATH):
        try:
            yield
        finally:
            torch._C._set_only_lift_cpu_tensors(False)


def pretend(value: torch.Tensor) -> torch.Tensor:
    return PretendedTensor(value.detach())


def move(model: nn.Module) -> nn.Module:
    """Moves a model's parameters and buffers, in place."""
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            setattr(module, name, nn.Parameter(pretend(parameter), requires_grad=parameter.requires_grad))
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, pretend(buffer))
    return model
