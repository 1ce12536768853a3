"""An exponential moving average of the weights, which is scored and stored in their place (Polyak averaging)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

FILE = "training_weights.safetensors"


def average_decay(updates: int, decay: float) -> float:
    """Share that the average keeps at an update: `decay`, and less in the beginning, so that short runs don't keep their start.

    Args:
        updates: made before this one.
        decay: of long runs, in (0, 1).
    """
    return min(decay, (1 + updates) / (10 + updates))


class WeightAverage(TrainerCallback):
    """
    Averages all trained parameters after every step, in float32.

    A checkpoint's model file holds the averages; the weights that are trained lie beside it in `training_weights.safetensors`,
    with the number of updates, so that a resumed run goes on as if it had not been interrupted. Every process keeps the
    averages, which are equal as the weights are.

    Args:
        decay: see [`average_decay`].
    """

    def __init__(self, decay: float):
        self.decay, self.updates = decay, 0
        self._parameters: list[nn.Parameter] = []
        self._averages: list[Tensor] = []
        self._resumed_from: Path | None = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: nn.Module, **_) -> None:
        """Begins with the model's weights as averages.

        In a resumed run they are the averages, as the model file holds them. The weights that are trained come into the model
        after that.
        """
        self._start(model)
        if self._resumed_from is not None:
            self._load(self._resumed_from, model)
            self._resumed_from = None

    @torch.no_grad()
    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_) -> None:
        torch._foreach_lerp_(self._averages, self._parameters, 1 - average_decay(self.updates, self.decay))
        self.updates += 1

    def save(self, folder: str | Path, model: nn.Module) -> None:
        """Puts the weights that are trained into a checkpoint's folder."""
        weights = {name: parameter.detach().contiguous() for name, parameter in _trained(model).items()}
        save_file(weights, Path(folder) / FILE, metadata={"updates": str(self.updates)})

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_) -> None:
        """The averages become the model's weights, unless those of the best checkpoint have been loaded."""
        if not (args.load_best_model_at_end and state.best_model_checkpoint):
            self._swap()
        self._parameters, self._averages = [], []

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Within, the model has the averages for weights. Outside of a training there are none, and it keeps its weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def resume_from(self, folder: str | Path, model: nn.Module) -> None:
        """Makes the coming training go on with the averages and the weights of a checkpoint.

        Args:
            folder: of the checkpoint, whose model file, the averages, the model will have loaded when the training begins.
            model: to train.

        Raises:
            ValueError: the checkpoint is of a run without averages or with save_only_model, or of other trained parameters.
        """
        path = Path(folder) / FILE
        if not path.is_file():
            raise ValueError(
                f"{path} is missing: the checkpoint is of a run without ema_decay, or of one with save_only_model. Resume the "
                "first without ema_decay; the second can't be resumed: start from it as checkpoint"
            )
        with safe_open(path, "pt") as file:
            if set(file.keys()) != set(_trained(model)):
                raise ValueError(f"{path} holds other parameters than those trained. Resume with the frozen_blocks of that run")
        self._resumed_from = path

    @torch.no_grad()
    def _load(self, path: Path, model: nn.Module) -> None:
        with safe_open(path, "pt") as file:
            for name, parameter in _trained(model).items():
                parameter.copy_(file.get_tensor(name))
            self.updates = int(file.metadata()["updates"])

    def _start(self, model: nn.Module) -> None:
        self.updates, self._parameters = 0, list(_trained(model).values())
        if wrong := {parameter.dtype for parameter in self._parameters} - {torch.float32}:
            raise ValueError(f"ema_decay averages float32 weights, not {wrong}; load the model in float32 and train with bf16")
        self._averages = [parameter.detach().clone() for parameter in self._parameters]

    def _swap(self) -> None:
        """Exchanges the storages of weights and averages, so that nothing is copied. Done twice, nothing has changed."""
        for index, parameter in enumerate(self._parameters):
            parameter.data, self._averages[index] = self._averages[index], parameter.data


def refuse_averages(folder: str | Path) -> None:
    """Raises ValueError for a checkpoint that a run without averages can't resume, since its model file holds some."""
    if (Path(folder) / FILE).is_file():
        raise ValueError(
            f"{folder} is a checkpoint of a run with ema_decay. Resume it with the same, or start from it as checkpoint"
        )


def _trained(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
