"""Parameters and multiply-adds of the models that the paper compares with, as far as transformers has them.

They are models of transformers without memory, in the sizes of `rival_models.yaml`, counted as the paper's models are.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
import yaml
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoConfig, AutoModelForUniversalSegmentation, PreTrainedConfig, PreTrainedModel

from eomt.model_cards.sizes import count_multiply_adds

FILE = Path(__file__).with_name("rival_models.yaml")
aten = torch.ops.aten


class WithoutValues(TorchDispatchMode):
    """Answers for tensors without memory where OneFormer reads values: its checks hold, and no query is masked everywhere."""

    def __torch_dispatch__(self, operation, types: Sequence[type], args: tuple = (), kwargs: dict | None = None):
        if operation is aten._local_scalar_dense.default and args[0].dtype == torch.bool:
            return True
        if operation is aten.nonzero.default:
            return args[0].new_empty((0, args[0].dim()), dtype=torch.long)
        return operation(*args, **(kwargs or {}))


def rival_config(name: str) -> PreTrainedConfig:
    """The configuration of a model of `rival_models.yaml`."""
    return AutoConfig.for_model(**yaml.safe_load(FILE.read_text(encoding="utf-8"))["models"][name])


@cache
def build_rival(name: str) -> PreTrainedModel:
    """A model of `rival_models.yaml`, without memory, in evaluation."""
    with torch.device("meta"):
        model = AutoModelForUniversalSegmentation.from_config(rival_config(name))
    model.to("meta")  # the embedding of the levels, which is made on the CPU whatever the default device
    return model.eval().requires_grad_(False)


@cache
def count_rival(name: str, size: tuple[int, int]) -> dict[str, int]:
    """{module: multiply-adds} of a model of `rival_models.yaml` for one image of `(height, width)`."""
    model = build_rival(name)
    inputs = {}
    if model.config.model_type == "oneformer":
        inputs["task_inputs"] = torch.empty(1, model.config.task_seq_len, device="meta")
    with WithoutValues():
        return count_multiply_adds(model, size, **inputs)
