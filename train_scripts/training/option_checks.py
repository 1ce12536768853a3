"""What is refused of a run's options: those of transformers that the recipe replaces, and schedules that can't be."""

from typing import TYPE_CHECKING

from transformers import TrainingArguments

from eomt.train_scripts.data.choices import check_choice
from eomt.train_scripts.training.schedules import MASKING_MODES

if TYPE_CHECKING:
    from eomt.train_scripts.training.arguments import EomtTrainingArguments

REPLACED = {  # option: the default, and what to do instead
    "gradient_accumulation_steps": (1, "use total_batch_size"),
    "lr_scheduler_type": ("linear", "use poly_power"),
    "warmup_steps": (0, "use head_warmup and encoder_warmup"),
    "auto_find_batch_size": (False, "use per_device_train_batch_size"),
    "data_seed": (None, "use seed"),
    "dataloader_drop_last": (False, "leave it out: all training batches are whole, and all images are scored"),
    "dataloader_prefetch_factor": (None, "use dataloader_num_workers"),
    "enable_jit_checkpoint": (False, "leave it out: SIGTERM saves a checkpoint as it is"),
    "ignore_data_skip": (False, "leave it out: a resumed stream reads nothing again as it is"),
}


def refuse_replaced(args: TrainingArguments) -> None:
    """Raises ValueError for an option that has another value than its default and would have no effect."""
    for name, (default, instead) in REPLACED.items():
        if (value := getattr(args, name)) != default:
            raise ValueError(f"{name}={value!r} has no effect in this recipe; {instead}")


def check_schedules(args: "EomtTrainingArguments") -> None:
    """Raises ValueError for schedules of learning rates and masks that no training can have."""
    check_choice("masking", args.masking, MASKING_MODES)
    lengths = {name: getattr(args, name) for name in ("head_warmup", "encoder_warmup", "first_block_annealing")}
    if args.minutes is not None and (args.minutes <= 0 or max(length or 0 for length in lengths.values()) >= 1):
        given = ", ".join(f"{name}={length}" for name, length in lengths.items() if length is not None)
        raise ValueError(
            f"minutes={args.minutes} must be positive, and with it {given} must be shares below 1: steps are not known beforehand"
        )
    if args.minutes is not None and args.logging_steps < 1:
        raise ValueError(f"logging_steps={args.logging_steps} is a share of steps that minutes leave open; give steps")
    if args.first_block_annealing is not None and (args.first_block_annealing <= 0 or args.masking != "annealed"):
        raise ValueError(
            f"first_block_annealing={args.first_block_annealing} must be positive, and masking={args.masking!r} annealed; leave it "
            "out to anneal the first block like the others"
        )
    if args.undecayed_blocks is not None and args.undecayed_blocks < -1:
        raise ValueError(f"undecayed_blocks={args.undecayed_blocks} must be a number of blocks, or -1 for those with queries")
