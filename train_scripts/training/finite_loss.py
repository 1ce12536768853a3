"""Stops a run whose loss is not finite, and says which images it was computed on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from accelerate.utils import gather_object
from torch import Tensor
from torch.distributed.tensor import DTensor
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from eomt.collectives import mean_over_processes

FILE = "nan_batch.json"
MOST_HELD = 200  # batches between two checks, where logging is rarer


@dataclass
class _Batch:
    """What a process has computed in one forward pass of a step."""

    step: int
    images: list[dict]
    terms: dict[str, Tensor] = field(default_factory=dict)  # scalars on the device
    gradient_norm: Tensor | None = None  # of the step, on its last batch

    def values(self) -> Tensor:
        """(terms + 1,): the loss terms, and the gradient norm, or 0 where it is of another batch."""
        norm = next(iter(self.terms.values())).new_zeros(()) if self.gradient_norm is None else self.gradient_norm
        return torch.stack([*self.terms.values(), norm])


class FiniteLoss(TrainerCallback):
    """
    Holds loss terms, gradient norms and image ids of the recent batches, and looks at the numbers when `check` is called.

    Nothing is fetched from the device in between, so a step costs no wait; a run goes on for the few steps until the next
    check, which comes with every log, evaluation and checkpoint, so that no broken model is scored or stored. The first bad
    batch is the one named, not those that its broken weights have broken in turn.

    Args:
        folder: where `nan_batch.json` is written.
        process: the index of this one.
        check_norms: whether a gradient norm that is not finite is an error; a loss scaler skips such steps.
    """

    def __init__(self, folder: str | Path, process: int, check_norms: bool = True):
        self.folder, self.process, self.check_norms = Path(folder), process, check_norms
        self._batches: list[_Batch] = []  # in the order computed
        self._waiting: list[_Batch] = []  # of the step about to be taken

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_) -> None:
        """Removes the report of an earlier run in this folder."""
        if self.process == 0:
            (self.folder / FILE).unlink(missing_ok=True)

    def start_step(self, step: int, batches: Sequence[Sequence[Mapping]]) -> None:
        """Announces a step, before its first forward pass.

        Args:
            step: its number, from 1 on.
            batches: for each forward pass, the `image_id`, `sample_key` and `epoch` of each image.
        """
        if len(self._batches) >= MOST_HELD:
            self.check()
        self._waiting = [_Batch(step, [{**image, "process": self.process} for image in images]) for images in batches]

    def add_terms(self, terms: Mapping[str, Tensor]) -> None:
        """Takes the loss terms of the step's next batch, scalars by name."""
        batch = self._waiting.pop(0)
        batch.terms = {name: term.detach() for name, term in terms.items()}
        self._batches.append(batch)

    def add_gradient_norm(self, norm: Tensor | float | None) -> None:
        """Takes the gradient norm of the step, after its last batch. DeepSpeed gives a number, FSDP2 a tensor in shards."""
        if not self.check_norms or norm is None:
            return
        norm = norm.full_tensor() if isinstance(norm, DTensor) else norm
        term = next(iter(self._batches[-1].terms.values()))
        self._batches[-1].gradient_norm = torch.as_tensor(norm, dtype=term.dtype, device=term.device).detach()

    def check(self) -> None:
        """Looks at everything since the last check. With several processes, all must call it.

        Raises:
            FloatingPointError: on every process, if a loss term or gradient norm was not finite on any, with the step, and
                this process's loss terms and image ids; `nan_batch.json` then has those of all processes.
        """
        if not self._batches:
            return
        finite = torch.stack([batch.values() for batch in self._batches]).isfinite().all(1)  # (batches,)
        if mean_over_processes(1 - finite.all().float()).item():
            bad = finite.logical_not().nonzero()
            self._stop(self._batches[bad[0, 0].item()].step if len(bad) else None)
        self._batches = []

    def _stop(self, bad_step: int | None) -> None:
        step = min(step for step in gather_object([bad_step]) if step is not None)
        batches = [batch for batch in self._batches if batch.step == step]
        numbers = {name: sum(batch.terms[name].item() for batch in batches) for name in batches[0].terms}
        if batches[-1].gradient_norm is not None:
            numbers["gradient_norm"] = batches[-1].gradient_norm.item()
        finite = [bool(torch.stack(list(batch.terms.values())).isfinite().all()) for batch in batches]
        images = [{**image, "loss_finite": ok} for batch, ok in zip(batches, finite, strict=True) for image in batch.images]
        reports = gather_object([{"process": self.process, "numbers": numbers, "images": images}])
        if self.process == 0:
            self._write(step, reports)
        gather_object([None])  # a process that ends makes launchers end the others, which must not be before the file is there
        named = ", ".join(f"{name}={value:g}" for name, value in numbers.items())
        ids = ", ".join(image["image_id"] for image in images if all(finite) or not image["loss_finite"])
        raise FloatingPointError(
            f"step {step}: the loss or its gradients are not finite. On process {self.process} of {len(reports)}: {named}; images "
            f"{ids}. The images of all processes are in {self.folder / FILE}; no model was written since. Look at them; else "
            "lower the learning rate, or train without half precision"
        )

    def _write(self, step: int, reports: list[dict]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        content = {
            "step": step,
            "numbers": {report["process"]: {k: str(v) for k, v in report["numbers"].items()} for report in reports},
            "images": [image for report in reports for image in report["images"]],
        }
        (self.folder / FILE).write_text(json.dumps(content, indent=1))
