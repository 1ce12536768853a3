"""From options to the objects of a run: model, streams, and the trainer with its parts."""

import torch

from eomt import EomtConfig, EomtForUniversalSegmentation, EomtImageProcessor
from eomt.image_processing.augmentation import training_augmentation
from eomt.mask_classifier import MaskClassifier
from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.evaluation_stream import EvaluationStream, evaluation_stream
from eomt.train_scripts.data.training_stream import TrainingStream, training_stream
from eomt.train_scripts.training.arguments import DataArguments, EomtTrainingArguments, ModelArguments
from eomt.train_scripts.training.class_head import fit_class_head
from eomt.train_scripts.training.deciding import deciding_options
from eomt.train_scripts.training.finished_mark import FinishedMark
from eomt.train_scripts.training.finished_model import FinishedModel
from eomt.train_scripts.training.finite_loss import FiniteLoss
from eomt.train_scripts.training.mask_annealing import MaskAnnealingCallback
from eomt.train_scripts.training.model_card import RunDescription
from eomt.train_scripts.training.overlays import OverlayCallback
from eomt.train_scripts.training.progress import TrainingProgress
from eomt.train_scripts.training.resuming import Resumption
from eomt.train_scripts.training.run_record import RunRecord
from eomt.train_scripts.training.saving import CheckpointSaver
from eomt.train_scripts.training.skipped_samples import SkippedSamples
from eomt.train_scripts.training.trainer import EomtTrainer
from eomt.train_scripts.training.validation import Validation
from eomt.train_scripts.training.weight_average import WeightAverage
from eomt.weights.timm import from_timm


def build_model(model_args: ModelArguments, data_args: DataArguments, labels: Labels) -> EomtForUniversalSegmentation:
    """A model for the dataset's classes, from a checkpoint, a timm ViT or random weights.

    What of a checkpoint doesn't fit is new; its class head is kept if all classes have the same names, see [`fit_class_head`].
    """
    fields = {
        "image_size": data_args.image_size,
        "id2label": dict(enumerate(labels.names)),
        "label2id": {name: index for index, name in enumerate(labels.names)},
        **model_args.config_fields,
    }
    if model_args.checkpoint:
        model = load_checkpoint(model_args.checkpoint, fields)
    elif model_args.timm_model:
        model = from_timm(model_args.timm_model, **fields)
    else:
        model = EomtForUniversalSegmentation(EomtConfig(**fields))
    model.set_attn_implementation(model_args.attn_implementation)
    model.freeze_encoder(model_args.frozen_blocks)
    return model


def load_checkpoint(name: str, fields: dict) -> EomtForUniversalSegmentation:
    """An EoMT checkpoint with `fields` of its configuration replaced, in float32 whatever it is stored in.

    Raises:
        OSError: naming the checkpoint, if it is no folder and the Hub doesn't give it.
    """
    try:
        stored = EomtConfig.from_pretrained(name)
        # half precision is autocast's: weights of it would round small updates away
        model = EomtForUniversalSegmentation.from_pretrained(name, dtype=torch.float32, ignore_mismatched_sizes=True, **fields)
    except OSError as error:
        raise OSError(f"checkpoint={name!r} is no folder with a model and didn't load from the Hub: {error}") from error
    fit_class_head(model, [stored.id2label[index] for index in range(stored.num_labels)])
    return model


def build_streams(
    data_args: DataArguments, args: EomtTrainingArguments, processor: EomtImageProcessor
) -> tuple[TrainingStream, EvaluationStream | None]:
    """This process's share of the augmented training samples, and of the evaluation samples."""
    share = {
        "world_size": args.world_size,
        "rank": args.process_index,
        "task": data_args.task,
        "bad_samples": data_args.bad_samples,
    }
    augmentation = training_augmentation(data_args.image_size, data_args.min_scale, data_args.max_scale, data_args.color_jitter)
    train = training_stream(
        data_args.data, data_args.train_split, augmentation, args.seed, shuffle_buffer=data_args.shuffle_buffer, **share
    )
    if not data_args.eval_split:
        return train, None
    return train, evaluation_stream(data_args.data, data_args.eval_split, processor, **share)


def build_trainer(
    model: MaskClassifier,
    processor: EomtImageProcessor,
    streams: tuple[TrainingStream, EvaluationStream | None],
    labels: Labels,
    model_args: ModelArguments,
    data_args: DataArguments,
    args: EomtTrainingArguments,
) -> EomtTrainer:
    """The trainer of a run, put together from its parts.

    Args:
        model: to train.
        processor: the task's image processor.
        streams: of training and evaluation, see [`build_streams`].
        labels: the task's classes.
        model_args, data_args, args: the run's options, epochs turned into steps.
    """
    train_stream, eval_stream = streams
    args.settle(data_args.task, eval_stream is not None)
    model.supervises_blocks = args.masking != "never"
    process, is_first = args.process_index, args.process_index == 0
    progress, skipped = TrainingProgress(args.minutes), SkippedSamples()
    masking = MaskAnnealingCallback(progress, args.masking, args.poly_power)
    finite = FiniteLoss(args.output_dir, process, check_norms=not args.fp16)
    average = WeightAverage(args.ema_decay) if args.ema_decay else None
    record = RunRecord(order_of(args, train_stream), deciding_options([args, model_args, data_args]))
    overlays = OverlayCallback(labels, args.overlays if is_first else 0, progress)
    return EomtTrainer(
        model,
        args,
        processor,
        train_stream,
        eval_stream,
        pretrained=bool(model_args.checkpoint or model_args.timm_model),
        finished_model=FinishedModel(masking, finite, average),
        validation=Validation(
            processor,
            labels,
            data_args.task,
            data_args.threshold,
            args.per_device_eval_batch_size,
            overlays,
            skipped,
            show_progress=is_first and not args.disable_tqdm,
        ),
        saver=CheckpointSaver(record, progress, skipped, average, args.save_total_limit),
        finished_mark=FinishedMark(record, progress, skipped),
        resumption=Resumption(args.output_dir, record, process, args.max_steps, args.minutes),
        description=RunDescription(labels, data_args.task, args, model_args, data_args),
    )


def order_of(args: EomtTrainingArguments, stream: TrainingStream) -> dict[str, int | str]:
    """What the order of the samples depends on: who shares them, what makes a step, and what the stream says of itself."""
    return {
        "num_processes": args.world_size,
        "dataloader_num_workers": args.dataloader_num_workers,
        "per_device_train_batch_size": args.per_device_train_batch_size,
        "total_batch_size": args.total_batch_size,
        **stream.order,
    }
