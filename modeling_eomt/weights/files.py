"""Reads the tensors of a file, and nothing else."""

import os
import pickle
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

SUFFIXES = (".safetensors", ".bin", ".pth", ".pt", ".ckpt")


def read_tensors(path: str | os.PathLike) -> dict[str, Tensor]:
    """The tensors of a `.safetensors` file, or of a file of `torch.save`, of a Lightning checkpoint those of its `state_dict`.

    Nothing but tensors is read, so that a file can run no code.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is broken, or holds other objects.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    try:
        stored = load_file(path) if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} holds more than tensors, or is no checkpoint ({str(error).splitlines()[0]}). If you trust it, save its "
            "tensors alone: torch.save(torch.load(FILE, weights_only=False)['state_dict'], NEW_FILE)"
        ) from error
    except Exception as error:  # each reader has errors of its own
        raise ValueError(f"{path} can't be read ({error}); download or copy it again") from error
    stored = stored.get("state_dict", stored) if isinstance(stored, dict) else stored
    if not isinstance(stored, dict) or not all(isinstance(value, Tensor) for value in stored.values()):
        raise ValueError(f"{path} is no state dict, nor a Lightning checkpoint; give one of these")
    return stored
