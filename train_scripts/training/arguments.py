"""The options of a training run, with the paper's recipe as defaults (paper, sections 4.1 and A.2)."""

import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import torch
from transformers import TrainingArguments
from transformers.trainer_utils import IntervalStrategy, SaveStrategy

from eomt.train_scripts.data.choices import check_choice
from eomt.train_scripts.evaluation.checkpoints import AUTO, check_whole
from eomt.train_scripts.evaluation.precision import fast_dtype
from eomt.train_scripts.training.deciding import Deciding
from eomt.train_scripts.training.option_checks import check_ranges, check_schedules, check_steps, refuse_replaced
from eomt.train_scripts.training.option_groups import OutputOption, TrainingOption
from eomt.train_scripts.training.schedules import ENCODER_WARMUP, HEAD_WARMUP, MASKING_MODES, share_of_training


@dataclass
class EomtTrainingArguments(TrainingArguments):
    """[`TrainingArguments`] with the paper's defaults and what EoMT's recipe adds."""

    output_dir: OutputOption[str] = field(
        default="outputs/eomt", metadata={"help": "folder of checkpoints and of the finished model"}
    )
    learning_rate: TrainingOption[Deciding[float]] = field(
        default=1e-4, metadata={"help": "peak learning rate of the encoder's last block"}
    )
    head_learning_rate: Deciding[float | None] = field(
        default=None, metadata={"help": "peak learning rate of queries, mask module and class head; learning_rate by default"}
    )
    layer_decay: Deciding[float] = field(
        default=0.8, metadata={"help": "factor of the learning rate from a block to the one before"}
    )
    undecayed_blocks: Deciding[int | None] = field(
        default=None,
        metadata={"help": "the last N blocks learn at learning_rate, the others as layer_decay says; -1: those with queries"},
    )
    weight_decay: Deciding[float] = field(default=0.05, metadata={"help": "of all parameters, as in the official recipe"})
    max_grad_norm: Deciding[float] = field(default=0.01, metadata={"help": "gradients are clipped to this norm"})
    poly_power: Deciding[float] = field(default=0.9, metadata={"help": "of the decay of learning rates and masking"})
    head_warmup: Deciding[float] = field(
        default=HEAD_WARMUP,
        metadata={"help": "warm-up of new parameters, in which the encoder stands still: share of T, or steps if >= 1"},
    )
    encoder_warmup: Deciding[float] = field(
        default=ENCODER_WARMUP, metadata={"help": "warm-up of a pretrained encoder after that: share of T, or steps if >= 1"}
    )
    masking: Deciding[str] = field(
        default="annealed",
        metadata={"help": f"masked attention in training: {', '.join(MASKING_MODES)} (only the last prediction is supervised)"},
    )
    first_block_annealing: Deciding[float | None] = field(
        default=None,
        metadata={"help": "the first block's masks go from the start on over this share of T, or steps if >= 1; by default later"},
    )
    pilot_queries: Deciding[int] = field(
        default=0,
        metadata={"help": "extra queries an image in training, at most, each masked by a true segment (MP-Former); 0: none"},
    )
    pilot_noise: Deciding[float] = field(
        default=0.0, metadata={"help": "patches flip in the mask of an extra query with this probability x the mask's area share"}
    )
    minutes: TrainingOption[Deciding[float | None]] = field(
        default=None, metadata={"help": "train for this long, with schedules by the clock, in place of epochs or max_steps"}
    )
    max_steps: Deciding[int] = field(default=-1, metadata={"help": "number of steps, in place of num_train_epochs"})
    total_batch_size: TrainingOption[int] = field(
        default=16, metadata={"help": "images a step over all processes and accumulated batches"}
    )
    per_device_train_batch_size: TrainingOption[int | None] = field(
        default=None,
        metadata={"help": "images a process and forward pass; by default what total_batch_size is shared out to, at most 4"},
    )
    per_device_eval_batch_size: int = field(default=4, metadata={"help": "images a process and evaluation batch"})
    num_train_epochs: TrainingOption[float] = field(default=12.0, metadata={"help": "passes over the data"})
    bf16: TrainingOption[Deciding[bool | None]] = field(
        default=None, metadata={"help": "bfloat16 autocast over float32 weights; by default where the machine is faster in it"}
    )
    fp16: Deciding[bool | None] = field(
        default=None, metadata={"help": "float16 autocast with loss scaling; by default on GPUs that have it and no bfloat16"}
    )
    ema_decay: TrainingOption[Deciding[float | None]] = field(
        default=None, metadata={"help": "score and store a moving average of the weights, such as 0.999; less in the first steps"}
    )
    resume_from_checkpoint: OutputOption[str | None] = field(
        default=AUTO,
        metadata={"help": "checkpoint-N folder to go on from; auto: the last whole one of output_dir, if there is one"},
    )
    overwrite: OutputOption[bool] = field(default=False, metadata={"help": "remove the run that output_dir holds, and train anew"})
    save_minutes: float = field(
        default=10.0,
        metadata={"help": "a checkpoint whenever the last is this old, whatever save_strategy says; 0: none by the clock"},
    )
    save_strategy: str = field(
        default="no",
        metadata={"help": "further checkpoints: no, steps, epoch or best; with no, all go when the run has finished"},
    )
    save_total_limit: int | None = field(
        default=1, metadata={"help": "save_strategy's checkpoints to keep, each 3 x the model; 0: all. The best and the last stay"}
    )
    overlays: OutputOption[int] = field(
        default=6, metadata={"help": "validation images to draw after every evaluation, to picture.png and what is reported to"}
    )
    logging_steps: float = field(default=50, metadata={"help": "steps between two logged means"})
    logging_nan_inf_filter: bool = field(default=False, metadata={"help": "replace losses that are not finite in the log"})
    remove_unused_columns: bool = field(default=False, metadata={"help": "must stay off: the collator makes the columns"})
    ddp_find_unused_parameters: bool = field(default=False, metadata={"help": "every parameter is used in every step"})
    ddp_broadcast_buffers: bool = field(default=False, metadata={"help": "every process sets its own masking probabilities"})
    disable_tqdm: bool = field(default=False, metadata={"help": "print the logged values, line by line, in place of a bar"})
    report_to: OutputOption[list[str]] = field(
        default_factory=lambda: ["none"], metadata={"help": "none, tensorboard, wandb, or several"}
    )
    push_to_hub: bool = field(
        default=False, metadata={"help": "upload the output folder, at the end of the run or as hub_strategy says"}
    )
    hub_strategy: str = field(
        default="end", metadata={"help": "when push_to_hub uploads: end, every_save, checkpoint, all_checkpoints"}
    )
    license: str | None = field(default=None, metadata={"help": "licence to state in the model card, such as apache-2.0"})

    def __post_init__(self):
        if self.accelerator_config is None:
            # whole batches come from each process's own stream; accelerate's default would cut ragged targets apart
            self.accelerator_config = {"dispatch_batches": False, "split_batches": False}
        self.use_cpu = self.use_cpu or not torch.accelerator.is_available()  # or bf16 is refused where there is only a CPU
        self._choose_precision()
        refuse_replaced(self)
        check_ranges(self)
        check_steps(self)
        best = self.metric_for_best_model, self.greater_is_better
        asked = self.per_device_train_batch_size
        self._share_out(asked, int(os.environ.get("WORLD_SIZE", 1)))  # DeepSpeed's configuration is filled in from these
        super().__post_init__()
        if best[0] is None:  # it has become the loss, which evaluation doesn't compute: `settle` chooses the task's main score
            self.metric_for_best_model, self.greater_is_better = best
        if self.n_gpu > 1:
            self._n_gpu = 1  # DataParallel would cut ragged targets apart: several GPUs take a launcher
        check_schedules(self)
        if self.fp16 and self.use_cpu:
            raise ValueError("fp16=True needs a GPU; train with bf16 on a CPU")
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            raise ValueError(f"ema_decay={self.ema_decay} must be between 0 and 1, such as 0.999; leave it out for no averages")
        if self.resume_from_checkpoint and self.resume_from_checkpoint != AUTO:
            check_whole(self.resume_from_checkpoint)
            if self.overwrite and Path(self.resume_from_checkpoint).resolve().is_relative_to(Path(self.output_dir).resolve()):
                raise ValueError(
                    f"overwrite=True would remove resume_from_checkpoint={self.resume_from_checkpoint!r}, which is in output_dir; "
                    "choose another output_dir"
                )
        if not self.save_minutes >= 0:
            raise ValueError(f"save_minutes={self.save_minutes} must be positive, or 0 for no checkpoints by the clock")
        self._share_out(asked, self.world_size)

    def check_shares(self) -> None:
        """Raises ValueError for a step that can't be shared out to processes and passes.

        It is no part of the initialisation, since `fit_to_data` may choose another step yet; `settle` checks it at the latest.
        """
        size, processes = self.per_device_train_batch_size, self.world_size
        if self.total_batch_size % (size * processes):
            uneven = self.total_batch_size % processes
            of_pass = f"{processes} processes" if uneven else f"per_device_train_batch_size={size} x {processes} processes"
            raise ValueError(
                f"total_batch_size={self.total_batch_size} must be a multiple of {of_pass}; use "
                f"{max(1, round(self.total_batch_size / (size * processes))) * size * processes}"
                f"{'' if uneven else ', or fewer images a device'}"
            )

    def _share_out(self, asked: int | None, processes: int) -> None:
        """Sets the images of a forward pass, if none are asked for, and the number of passes of a step."""
        share = self.total_batch_size // processes
        self.per_device_train_batch_size = asked or next(size for size in (4, 3, 2, 1) if max(1, share) % size == 0)
        self.gradient_accumulation_steps = max(1, share // self.per_device_train_batch_size)

    def _choose_precision(self) -> None:
        """What isn't given becomes what the machine is faster in."""
        if self.bf16 is None and self.fp16 is None:
            device = torch.device("cpu") if self.use_cpu else torch.accelerator.current_accelerator()
            dtype = fast_dtype(device)
            self.bf16, self.fp16 = dtype == torch.bfloat16, dtype == torch.float16
        self.bf16, self.fp16 = bool(self.bf16), bool(self.fp16)

    @property
    def autocast_dtype(self) -> torch.dtype:
        """Of the forward passes; float32 for none."""
        return torch.bfloat16 if self.bf16 else torch.float16 if self.fp16 else torch.float32

    def __getstate__(self) -> dict:
        """Without the token: the Trainer pickles its arguments into training_args.bin, which is pushed with the rest."""
        return {**self.__dict__, "hub_token": None}

    def for_trainer(self) -> "EomtTrainingArguments":
        """A copy for Trainer to work on and to change, without its rotation of checkpoints: `CheckpointSaver` does that later.

        These options stay as they were given, and so they are in the model card.
        """
        copied = object.__new__(type(self))
        copied.__dict__.update(self.__dict__)  # copy.copy would go by __getstate__ and lose the token
        copied.save_total_limit = None
        return copied

    def epochs_to_steps(self, rows: int) -> None:
        """Turns what was given in epochs into steps, since a stream has no length.

        A budget of minutes ends long before the number of steps that stands for it.

        Args:
            rows: images that an epoch has, over all processes.
        """
        epoch = max(1, round(rows / self.total_batch_size))
        if self.minutes is not None:
            self.max_steps = 10**7
        elif self.max_steps <= 0:
            self.max_steps = max(1, round(self.num_train_epochs * rows / self.total_batch_size))
        if self.eval_strategy == IntervalStrategy.EPOCH:
            self.eval_strategy, self.eval_steps, self.eval_delay = IntervalStrategy.STEPS, epoch, self.eval_delay * epoch
        if self.save_strategy == SaveStrategy.EPOCH:
            self.save_strategy, self.save_steps = SaveStrategy.STEPS, epoch
        if self.logging_strategy == IntervalStrategy.EPOCH:
            self.logging_strategy, self.logging_steps = IntervalStrategy.STEPS, epoch

    def settle(self, main_score: str, scores: Collection[str], has_images: bool) -> None:
        """Settles how the best model is chosen, by the task's main score unless said otherwise; without images, not at all.

        Recipes evaluate on the way and keep the best model, and are used without images for that as well.

        Args:
            main_score: of the task that is trained, such as `pq`.
            scores: all that its evaluations compute.
            has_images: whether there is something to evaluate on.

        Raises:
            ValueError: for what would have no effect: epochs, which a stream doesn't have, scoring on nothing, or a direction
                without its metric; for a metric that the task doesn't have; for a step that can't be shared out.
        """
        self.check_shares()
        for name in ("eval_strategy", "save_strategy", "logging_strategy"):
            if getattr(self, name) == "epoch":
                raise ValueError(f"{name}='epoch': a stream has no epochs; call epochs_to_steps(rows) first, or give steps")
        if self.eval_on_start and not has_images:
            raise ValueError("eval_on_start=True needs images to evaluate on; give an eval_split, or leave it out")
        if not has_images:
            self.eval_strategy, self.load_best_model_at_end = IntervalStrategy.NO, False
            self.save_strategy = SaveStrategy.NO if self.save_strategy == SaveStrategy.BEST else self.save_strategy
        if self.load_best_model_at_end and self.save_strategy == SaveStrategy.STEPS and self.save_steps != self.eval_steps:
            raise ValueError(
                f"save_steps={self.save_steps}, eval_steps={self.eval_steps}: load_best_model_at_end=True needs a checkpoint of "
                "each evaluation; give save_strategy='best', or the same steps"
            )
        if self.metric_for_best_model is None:
            if self.greater_is_better is False:
                raise ValueError(
                    f"greater_is_better=False has no effect on the main score, {main_score}; give metric_for_best_model as well, "
                    "or leave it out"
                )
            self.metric_for_best_model, self.greater_is_better = main_score, True
        metric = self.metric_for_best_model.removeprefix("eval_")
        check_choice("metric_for_best_model", metric, scores)
        self.metric_for_best_model = f"eval_{metric}"

    def warmup_shares(self) -> tuple[float, float]:
        """Warm-ups of new parameters and encoder as shares of the training; needs `max_steps` where they are given in steps.

        Raises:
            ValueError: if they fill the whole training.
        """
        head, encoder = (share_of_training(length, self.max_steps) for length in (self.head_warmup, self.encoder_warmup))
        if head + encoder >= 1:
            raise ValueError(
                f"head_warmup={self.head_warmup} and encoder_warmup={self.encoder_warmup} fill all {self.max_steps} steps; "
                "shorten them or train longer"
            )
        return head, encoder

    def first_annealing_share(self) -> float | None:
        """`first_block_annealing` as a share of the training; needs `max_steps` where it is given in steps.

        Raises:
            ValueError: if it is longer than the training, whose model would stay masked.
        """
        if self.first_block_annealing is None:
            return None
        share = share_of_training(self.first_block_annealing, self.max_steps)
        if share > 1:
            raise ValueError(f"first_block_annealing={self.first_block_annealing} must be at most the {self.max_steps} steps")
        return share
