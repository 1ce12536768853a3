"""The composition of a training run: the trainer, and the parts that it is given."""

import math
from typing import TYPE_CHECKING

from eomt import EomtImageProcessor
from eomt.mask_classifier import MaskClassifier
from eomt.piloted_classifier import PilotedClassifier
from eomt.piloted_queries import Piloting
from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.evaluation_stream import EvaluationStream
from eomt.train_scripts.data.training_stream import TrainingStream
from eomt.train_scripts.evaluation.precision import fast_attention
from eomt.train_scripts.evaluation.tasks import Task
from eomt.train_scripts.training.adapters import Adapters
from eomt.train_scripts.training.arguments import EomtTrainingArguments
from eomt.train_scripts.training.building import evaluation_views
from eomt.train_scripts.training.data_arguments import DataArguments
from eomt.train_scripts.training.deciding import deciding_options
from eomt.train_scripts.training.feature_cache import FeatureCache
from eomt.train_scripts.training.finished_mark import FinishedMark
from eomt.train_scripts.training.finished_model import FinishedModel
from eomt.train_scripts.training.finite_loss import FiniteLoss
from eomt.train_scripts.training.interruption import TimelyCheckpoints
from eomt.train_scripts.training.mask_annealing import MaskAnnealingCallback
from eomt.train_scripts.training.model_arguments import ModelArguments
from eomt.train_scripts.training.model_card import RunDescription
from eomt.train_scripts.training.overlays import OverlayCallback
from eomt.train_scripts.training.progress import TrainingProgress
from eomt.train_scripts.training.resuming import Resumption
from eomt.train_scripts.training.run_record import RunRecord
from eomt.train_scripts.training.saving import CheckpointSaver
from eomt.train_scripts.training.signals import Signals
from eomt.train_scripts.training.skipped_samples import SkippedSamples
from eomt.train_scripts.training.start_size import StartSize, check_start_size
from eomt.train_scripts.training.trainer import EomtTrainer
from eomt.train_scripts.training.validation import Validation
from eomt.train_scripts.training.weight_average import WeightAverage

if TYPE_CHECKING:
    from peft import PeftModel  # an optional dependency


def build_trainer(
    model: "MaskClassifier | PeftModel",
    processor: EomtImageProcessor,
    streams: tuple[TrainingStream, EvaluationStream | None],
    task: Task,
    labels: Labels,
    model_args: ModelArguments,
    data_args: DataArguments,
    args: EomtTrainingArguments,
) -> EomtTrainer:
    """The trainer of a run, put together from its parts. Each of them can be used without a trainer.

    Args:
        model: to train; of one in PEFT's wrapper its adapters, see [`Adapters`].
        processor: the task's image processor.
        streams: of training and evaluation, see [`build_streams`].
        task: to train and score.
        labels: the task's classes.
        model_args, data_args, args: the run's options, epochs turned into steps.
    """
    train_stream, eval_stream = streams
    args.settle(task.main_score, task.scores(labels), eval_stream is not None)
    model, adapters = Adapters.of(model)
    model.supervises_blocks = args.masking != "never"
    pilot(model, args)
    model.set_attn_implementation(model_args.attn_implementation or fast_attention(args.device, args.autocast_dtype, training=True))
    process, is_first = args.process_index, args.process_index == 0
    progress, skipped = TrainingProgress(args.minutes), SkippedSamples()
    masking = MaskAnnealingCallback(progress, args.masking, args.poly_power, args.first_annealing_share())
    finite = FiniteLoss(args.output_dir, process, check_norms=not args.fp16)
    average = WeightAverage(args.ema_decay) if args.ema_decay else None
    record = record_of(train_stream, model_args, data_args, args)
    signals = Signals(speaks=is_first)
    timely = TimelyCheckpoints(signals, args.save_minutes)
    overlays = OverlayCallback(labels, args.overlays if is_first else 0, progress)
    return EomtTrainer(
        model,
        args,
        processor,
        train_stream,
        eval_stream,
        pretrained=bool(model_args.checkpoint or model_args.timm_model),
        features=features_of(model, model_args, data_args),
        start_size=start_size_of(model, data_args),
        finished_model=FinishedModel(masking, finite, average, adapters),
        validation=Validation(
            processor=evaluation_views(processor, data_args),
            labels=labels,
            task=task,
            threshold=data_args.threshold,
            batch_size=args.per_device_eval_batch_size,
            overlays=overlays,
            skipped=skipped,
            show_progress=is_first and not args.disable_tqdm,
        ),
        saver=CheckpointSaver(record, progress, skipped, timely, average, args.save_total_limit),
        signals=signals,
        timely=timely,
        finished_mark=FinishedMark(record, progress, skipped),
        resumption=resumption_of(record, args),
        description=RunDescription(
            labels, task.name, args, model_args, data_args, model.config.model_type, adapters=adapters and adapters.description()
        ),
    )


def pilot(model: MaskClassifier, args: EomtTrainingArguments) -> None:
    """Gives a model the piloted queries that are asked for.

    Raises:
        ValueError: the model can't have any.
    """
    if not args.pilot_queries:
        return
    if not isinstance(model, PilotedClassifier):
        raise ValueError(
            f"pilot_queries={args.pilot_queries} needs an EoMT of this package, whose last blocks have queries, not "
            f"{type(model).__name__}; leave it out"
        )
    model.piloting = Piloting(args.pilot_queries, args.pilot_noise)


def features_of(model: MaskClassifier, model_args: ModelArguments, data_args: DataArguments) -> FeatureCache | None:
    """The cache of a frozen encoder's features, if asked for.

    Raises:
        ValueError: images or encoder change in the training.
    """
    if not model_args.cache_features:
        return None
    if data_args.augment:
        raise ValueError(
            "cache_features=True needs images that are the same in every epoch, and augmentation changes them: give --augment "
            "false (no flips, scales and crops), or leave cache_features out"
        )
    if data_args.start_image_size is not None:
        raise ValueError(
            f"cache_features=True needs images that are the same in every epoch, but start_image_size={data_args.start_image_size} "
            "changes their size; leave one of them out"
        )
    return FeatureCache(model)


def start_size_of(model: MaskClassifier, data_args: DataArguments) -> StartSize | None:
    """The smaller crops of the training's start, if asked for.

    Raises:
        ValueError: they are off the model's grid, or not smaller.
    """
    side = data_args.start_image_size
    check_start_size(side, data_args.start_share, data_args.image_size)
    if side is None:
        return None
    patch = model.config.patch_size
    grid = math.lcm(*getattr(model.config, "size_multiples_hw", (patch, patch)))  # transformers' own configuration has none
    if side % grid:
        raise ValueError(
            f"start_image_size={side} must be a multiple of {grid}, as all inputs of this model, such as "
            f"{side // grid * grid or grid}"
        )
    return StartSize(side, data_args.start_share)


def record_of(
    train_stream: TrainingStream, model_args: ModelArguments, data_args: DataArguments, args: EomtTrainingArguments
) -> RunRecord:
    """What decides the result of a run, epochs turned into steps."""
    return RunRecord(order_of(args, train_stream), deciding_options([args, model_args, data_args]))


def resumption_of(record: RunRecord, args: EomtTrainingArguments) -> Resumption:
    """What chooses where the run on record begins."""
    return Resumption(args.output_dir, record, args.process_index, args.max_steps, args.minutes)


def order_of(args: EomtTrainingArguments, stream: TrainingStream) -> dict[str, int | str]:
    """What the order of the samples depends on: who shares them, what makes a step, and what the stream says of itself."""
    return {
        "num_processes": args.world_size,
        "dataloader_num_workers": args.dataloader_num_workers,
        "per_device_train_batch_size": args.per_device_train_batch_size,
        "total_batch_size": args.total_batch_size,
        **stream.order,
    }
