"""What a checkpoint brings from its own run, where the run that goes on from it has other options."""

from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from eomt.train_scripts.evaluation.checkpoints import checkpoint_of


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
