"""What a checkpoint brings from its own run, where the run that goes on from it has other options."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import OPTIMIZER_NAME

from eomt.train_scripts.evaluation.checkpoints import checkpoint_of
from eomt.train_scripts.training.run_record import differences

TRAINED_BY = ("frozen_blocks", "lora_targets")  # options that choose the parameters


class ResumedOptions(TrainerCallback):
    """
    Puts this run's options in place of those that came with a checkpoint. Where they are the same, nothing changes.

    - Learning rates, weight decay and what else the optimizer's groups have are stored in the optimizer's state.
    - The steps between two evaluations, checkpoints and logs are stored in Trainer's state.
    - So is the path of the best checkpoint, which is another if the output folder was moved since.
    """

    def __init__(self):
        self._groups: list[dict[str, Any]] = []

    def note(self, optimizer: Optimizer) -> None:
        """To be called with a new optimizer, before a schedule or a checkpoint changes it."""
        self._groups = [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        optimizer: Optimizer | None = None,
        lr_scheduler: LRScheduler | None = None,
        **_,
    ) -> None:
        state.compute_steps(args, state.max_steps)
        if state.best_global_step and (best := checkpoint_of(args.output_dir, state.best_global_step)).is_dir():
            state.best_model_checkpoint = str(best)
        if optimizer is None or len(optimizer.param_groups) != len(self._groups):  # DeepSpeed makes groups of its own
            return
        for group, own in zip(optimizer.param_groups, self._groups, strict=True):
            if group["initial_lr"] not in (own["lr"], 0):  # after 0 the schedule sets the rate of the second step
                group["lr"] *= own["lr"] / group["initial_lr"]
            group.update({**own, "lr": group["lr"], "initial_lr": own["lr"]})
        if lr_scheduler is not None:
            lr_scheduler.base_lrs = [own["lr"] for own in self._groups]
            lr_scheduler._last_lr = [group["lr"] for group in optimizer.param_groups]  # which is logged


def check_trained(
    folder: Path, groups: Sequence[Mapping[str, Any]], settings: Mapping[str, Any], stored_settings: Mapping[str, Any]
) -> None:
    """Checks that a checkpoint's optimizer has the parameters that are trained. What FSDP or DeepSpeed stored is left to them.

    Args:
        folder: the checkpoint.
        groups: of this run's optimizer.
        settings, stored_settings: options of this run and of the checkpoint's.

    Raises:
        ValueError: the optimizer has others, or in other groups.
    """
    if not (folder / OPTIMIZER_NAME).is_file():
        return
    # mapped, since the groups are wanted and not the moments
    stored = torch.load(folder / OPTIMIZER_NAME, map_location="cpu", weights_only=True, mmap=True)["param_groups"]
    sizes, stored_sizes = ([len(group["params"]) for group in one] for one in (groups, stored))
    if sizes != stored_sizes:
        changed = differences({name: settings.get(name) for name in TRAINED_BY}, stored_settings)
        cause = f"having {changed}" if changed else "as an earlier version or another model did"
        raise ValueError(
            f"resume_from_checkpoint={str(folder)!r}: this run trains {sum(sizes)} parameters in {len(sizes)} groups instead of "
            f"{sum(stored_sizes)} in {len(stored_sizes)}, {cause}. "
            "Resume with the same, or give the folder as checkpoint, to start a new run from its weights"
        )
