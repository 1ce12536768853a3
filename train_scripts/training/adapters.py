"""PEFT's adapters in a training: merged where a model is scored and stored, and stored by themselves to go on from.

The Trainer is given the base model, which has the adapters inside, and not PEFT's wrapper: names of parameters begin as in any
model, so that learning rates go by layer, and what is set on the model reaches it.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers.utils import ADAPTER_SAFE_WEIGHTS_NAME

from eomt.mask_classifier import MaskClassifier

if TYPE_CHECKING:
    from peft import PeftModel  # an optional dependency

FOLDER = "adapter"  # in a checkpoint and in the output folder
PREFIX = "base_model.model."  # of the names of tensors in PEFT's files
MASKING = f"{PREFIX}attn_mask_probs"


@dataclass(frozen=True)
class AdapterDescription:
    """What a model card says of adapters: their kind, such as LoRA, and how many parameters are trained and in all."""

    kind: str
    trained: int
    total: int


class Adapters:
    """
    The adapters of a model in training.

    Args:
        wrapper: as `peft.get_peft_model` gives it, with one adapter, which can be merged.

    Attributes:
        model: the base model, in which the adapters are.
    """

    def __init__(self, wrapper: "PeftModel"):
        self.wrapper, self.model = wrapper, wrapper.get_base_model()
        self.name = wrapper.active_adapter
        self.config = wrapper.peft_config[self.name]
        self._state: dict[str, Tensor] = {}

    @classmethod
    def of(cls, model: "MaskClassifier | PeftModel") -> tuple[MaskClassifier, Self | None]:
        """The model to train, and its adapters where it comes in PEFT's wrapper."""
        if isinstance(model, MaskClassifier):
            return model, None
        adapters = cls(model)
        return adapters.model, adapters

    def description(self) -> AdapterDescription:
        """For the model card; parameters are those of the merged model in all."""
        trained = sum(parameter.numel() for parameter in self.model.parameters() if parameter.requires_grad)
        with self.merged():
            total = sum(parameter.numel() for parameter in self.model.parameters())
        return AdapterDescription(self.config.peft_type.value.replace("LORA", "LoRA"), trained, total)

    @contextmanager
    def merged(self) -> Iterator[None]:
        """Within, the model has plain modules, whose weights are those of the base and the adapters. Afterwards it is as before."""
        self._state = self._adapter_state()
        adapted = list(_adapted_modules(self.model))
        for parent, name, child in adapted:
            setattr(parent, name, _merged_module(child))
        try:
            yield
        finally:
            for parent, name, child in adapted:
                setattr(parent, name, child)
            self._state = {}

    def save(self, folder: str | Path) -> None:
        """Writes the adapter as PEFT does, and configuration and masking probabilities. To be called within [`merged`]."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        inference = copy.copy(self.config)
        inference.inference_mode = True  # as PEFT stores it
        inference.save_pretrained(folder)
        save_file({name: tensor.contiguous() for name, tensor in self._state.items()}, folder / ADAPTER_SAFE_WEIGHTS_NAME)
        self.model.config.save_pretrained(folder)

    def load(self, folder: str | Path) -> None:
        """Loads what [`save`] has written into the adapters.

        Raises:
            ValueError: the adapter has other parameters.
        """
        from peft import set_peft_model_state_dict

        state = load_file(Path(folder) / ADAPTER_SAFE_WEIGHTS_NAME)
        expected = {name: tensor.shape for name, tensor in self._adapter_state().items()}
        if {name: tensor.shape for name, tensor in state.items()} != expected:
            raise ValueError(f"{folder} is an adapter of another rank or of other layers than this run's; give its options")
        set_peft_model_state_dict(self.wrapper, state, adapter_name=self.name)

    def _adapter_state(self) -> dict[str, Tensor]:
        from peft import get_peft_model_state_dict

        state = get_peft_model_state_dict(self.wrapper, adapter_name=self.name, save_embedding_layers=False)
        return {**state, MASKING: self.model.attn_mask_probs.clone()}


def check_adapter(folder: str | Path, adapted: bool) -> None:
    """Raises ValueError unless a checkpoint is of a run with adapters where this one has some, and without where it has none."""
    if (Path(folder) / FOLDER).is_dir() != adapted:
        other, this = ("without", "with") if adapted else ("with", "without")
        raise ValueError(
            f"{folder} is a checkpoint of a run {other} lora, which one {this} can't go on from. Resume it {other} "
            "lora, or start from it as checkpoint"
        )


def _adapted_modules(model: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Module]]:
    """(parent, name, child) of the modules that PEFT has put into a model."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils import AuxiliaryTrainingWrapper

    for parent in list(model.modules()):
        for name, child in parent.named_children():
            inside = isinstance(parent, BaseTunerLayer | AuxiliaryTrainingWrapper)
            if isinstance(child, BaseTunerLayer | AuxiliaryTrainingWrapper) and not inside:
                yield parent, name, child


@torch.no_grad()
def _merged_module(module: nn.Module) -> nn.Module:
    """A plain module in place of one of PEFT: a copy where weights are merged, else the trained one itself."""
    from peft.utils import ModulesToSaveWrapper

    if isinstance(module, ModulesToSaveWrapper):
        return module.modules_to_save[module.active_adapters[0]]
    merged = copy.deepcopy(module)
    merged.merge()
    return merged.get_base_layer()
