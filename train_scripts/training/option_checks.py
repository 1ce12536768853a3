"""What is refused of a run's options: those of transformers that the recipe replaces, and schedules that can't be."""

from typing import TYPE_CHECKING

from transformers import TrainingArguments

from eomt.train_scripts.data.choices import check_choice
from eomt.train_scripts.data.counts import check_least
from eomt.train_scripts.training.schedules import MASKING_MODES

if TYPE_CHECKING:
    from eomt.train_scripts.training.arguments import EomtTrainingArguments
    from eomt.train_scripts.training.model_arguments import ModelArguments

LORA_RANK = 16
LORA_TARGETS = ("attention", "mlp")  # modules of an encoder block, in every encoder
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
    "label_smoothing_factor": (0.0, "leave it out: the loss is the paper's"),
    "lr_scheduler_kwargs": (None, "use poly_power"),
    "average_tokens_across_devices": (True, "leave it out: the loss has one divisor over all processes as it is"),
    "train_sampling_strategy": ("random", "leave it out: the stream shuffles by itself"),
    "length_column_name": ("length", "leave it out: the stream shuffles by itself"),
    "dataloader_persistent_workers": (False, "leave it out: workers live as long as the run"),
    "dataloader_in_order": (True, "leave it out: runs resume by the order of batches"),
    "prediction_loss_only": (False, "leave it out: evaluations compute scores"),
    "eval_accumulation_steps": (None, "leave it out: results are made image by image"),
    "eval_do_concat_batches": (True, "leave it out: results are made image by image"),
    "eval_use_gather_object": (False, "leave it out: processes join their counts"),
    "include_for_metrics": ([], "leave it out: metrics are given images and results"),
    "batch_eval_metrics": (False, "leave it out: metrics add image by image"),
    "do_train": (False, "leave it out: a run trains always"),
    "do_eval": (False, "use eval_split and eval_strategy, or `eomt score`"),
    "do_predict": (False, "use `eomt predict`"),
    "bf16_full_eval": (False, "use bf16, which evaluations have too, or `eomt score --bf16`"),
    "fp16_full_eval": (False, "use fp16, which evaluations have too"),
    "label_names": (None, "leave it out: the loss is the model's own"),
    "remove_unused_columns": (False, "leave it out: the collator makes the columns"),
    "use_cache": (False, "leave it out: the model has no keys and values to keep"),
    "use_liger_kernel": (False, "leave it out: there are no such kernels for this model"),
    "liger_kernel_config": (None, "leave it out: there are no such kernels for this model"),
}
LEAST = {  # option of a training: its least value, if it has one, and a hint
    "per_device_train_batch_size": (1, "leave it out to have it chosen"),
    "per_device_eval_batch_size": (1, "such as 4"),
    "learning_rate": (0, "such as 1e-4"),
    "head_learning_rate": (0, "leave it out for learning_rate"),
    "layer_decay": (0, "such as 0.8; 1 is one rate for all blocks"),
    "weight_decay": (0, "such as 0.05"),
    "adam_epsilon": (0, "such as 1e-8"),
    "max_grad_norm": (0, "such as 0.01; 0 clips nothing"),
    "head_warmup": (0, "a share of the training, or steps if >= 1; 0 is none"),
    "encoder_warmup": (0, "a share of the training, or steps if >= 1; 0 is none"),
    "logging_steps": (0, "such as 50"),
    "eval_steps": (0, "such as 500"),
    "eval_delay": (0, "0 is none"),
    "save_steps": (0, "such as 500"),
    "save_total_limit": (0, "0 keeps all checkpoints"),
    "overlays": (0, "0 draws none"),
    "seed": (0, "such as 42"),
    "dataloader_num_workers": (0, "0 reads images in the training's own process"),
    "ddp_timeout": (1, "in seconds, such as 1800"),
}


def refuse_replaced(args: TrainingArguments) -> None:
    """Raises ValueError for an option that has another value than its default and would have no effect."""
    for name, (default, instead) in REPLACED.items():
        if (value := getattr(args, name)) != default:
            raise ValueError(f"{name}={value!r} has no effect in this recipe; {instead}")


def check_lora(args: "ModelArguments") -> None:
    """Raises ValueError for adapters that can't be, or for options of adapters where there are none."""
    if not args.lora:
        defaults = {"lora_rank": LORA_RANK, "lora_alpha": None, "lora_targets": list(LORA_TARGETS)}
        for name, default in defaults.items():
            if (value := getattr(args, name)) != default:
                raise ValueError(f"{name}={value!r} has no effect without lora; give --lora, or leave it out")
        return
    if not (args.checkpoint or args.timm_model):
        raise ValueError("lora=True adapts pretrained weights; give checkpoint or timm_model, or leave lora out")
    if args.lora_rank < 1:
        raise ValueError(f"lora_rank={args.lora_rank} must be at least 1, such as {LORA_RANK}")
    if args.lora_alpha is not None and args.lora_alpha <= 0:
        raise ValueError(f"lora_alpha={args.lora_alpha} must be positive; leave it out for twice the rank")
    if not args.lora_targets:
        raise ValueError(f"lora_targets is empty; give one or more of {', '.join(LORA_TARGETS)}")
    for target in args.lora_targets:
        check_choice("lora_targets", target, LORA_TARGETS)


def check_ranges(args: "EomtTrainingArguments") -> None:
    """Raises ValueError for a number that no training can have, whatever the other options are."""
    check_least(args, LEAST)
    if not args.poly_power > 0:
        raise ValueError(f"poly_power={args.poly_power} must be positive, such as 0.9; 1 is a linear decay")
    if args.seed >= 1 << 32:
        raise ValueError(f"seed={args.seed} must be less than 2^32, such as 42")
    for name in ("adam_beta1", "adam_beta2"):
        if not 0 <= (value := getattr(args, name)) < 1:
            raise ValueError(f"{name}={value} must be in [0, 1), such as 0.9")


def check_steps(args: "EomtTrainingArguments") -> None:
    """Raises ValueError for a step of no images, a training of no steps, or a first evaluation that minutes leave open."""
    if args.total_batch_size < 1:
        raise ValueError(f"total_batch_size={args.total_batch_size} must be at least 1 image, such as 16")
    if args.max_steps == 0 or args.max_steps < -1:
        raise ValueError(f"max_steps={args.max_steps} must be positive; leave it out, or give -1, for num_train_epochs")
    if args.max_steps < 0 and args.minutes is None and not args.num_train_epochs > 0:
        raise ValueError(f"num_train_epochs={args.num_train_epochs} must be positive, such as 12; parts of epochs are allowed")
    if args.minutes is not None and args.eval_delay:
        raise ValueError(f"eval_delay={args.eval_delay} counts steps, which minutes={args.minutes} leave open; leave it out")


def check_schedules(args: "EomtTrainingArguments") -> None:
    """Raises ValueError for schedules of learning rates and masks, and for piloted queries, that no training can have."""
    check_choice("masking", args.masking, MASKING_MODES)
    lengths = {name: getattr(args, name) for name in ("head_warmup", "encoder_warmup", "first_block_annealing")}
    if args.minutes is not None and (not args.minutes > 0 or max(length or 0 for length in lengths.values()) >= 1):
        given = ", ".join(f"{name}={length}" for name, length in lengths.items() if length is not None)
        raise ValueError(
            f"minutes={args.minutes} must be positive, and with it {given} must be shares below 1: steps are not known beforehand"
        )
    if args.minutes is not None and args.logging_steps < 1:
        raise ValueError(f"logging_steps={args.logging_steps} is a share of steps that minutes leave open; give steps")
    if args.first_block_annealing is not None and (not args.first_block_annealing > 0 or args.masking != "annealed"):
        raise ValueError(
            f"first_block_annealing={args.first_block_annealing} must be positive, and masking={args.masking!r} annealed; leave it "
            "out to anneal the first block like the others"
        )
    if args.undecayed_blocks is not None and args.undecayed_blocks < -1:
        raise ValueError(f"undecayed_blocks={args.undecayed_blocks} must be a number of blocks, or -1 for those with queries")
    _check_piloting(args)


def _check_piloting(args: "EomtTrainingArguments") -> None:
    if args.pilot_queries < 0:
        raise ValueError(f"pilot_queries={args.pilot_queries} must be a number of queries an image, such as 50, or 0 for none")
    if args.pilot_queries and args.masking == "never":
        raise ValueError(
            f"pilot_queries={args.pilot_queries} puts true masks in place of predicted ones, of which masking='never' has none; "
            "leave one of them out"
        )
    if args.pilot_noise and not args.pilot_queries:
        raise ValueError(f"pilot_noise={args.pilot_noise} has no effect without pilot_queries; give both, or leave it out")
    if not 0 <= args.pilot_noise <= 1:
        raise ValueError(f"pilot_noise={args.pilot_noise} must be in [0, 1], such as 0.2")
