"""Fine-tunes EoMT for semantic, instance or panoptic segmentation.

    python train_scripts/train.py --recipe demo --data DIR
    accelerate launch train_scripts/train.py --timm_model vit_small_patch14_reg4_dinov2 --data DIR --output_dir OUT

`--help` lists every option with its default; a recipe is a YAML file of the same options.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from accelerate import PartialState
from transformers import set_seed

from eomt.train_scripts.data.dataset_folder import count_rows, read_labels
from eomt.train_scripts.evaluation.tasks import task_labels, task_processor
from eomt.train_scripts.training.arguments import DataArguments, EomtTrainingArguments, ModelArguments
from eomt.train_scripts.training.building import build_model, build_streams
from eomt.train_scripts.training.recipe import parse_arguments
from eomt.train_scripts.training.trainer import EomtTrainer


def run(argv: Sequence[str], make_model: Callable = build_model) -> EomtTrainer:
    """Trains, scores and saves a model.

    Args:
        argv: the words after the script's name.
        make_model: as [`build_model`], for a benchmark that trains another model in this loop.

    Returns:
        The trainer, with the trained model; its metrics are in `all_results.json` of the output folder.
    """
    model_args, data_args, args = parse_arguments((ModelArguments, DataArguments, EomtTrainingArguments), argv)
    set_seed(args.seed)
    labels = task_labels(read_labels(data_args.data), data_args.task)
    args.epochs_to_steps(count_rows(data_args.data, data_args.train_split))
    processor = task_processor(data_args.task, data_args.image_size, labels)
    train_stream, eval_stream = build_streams(data_args, args, processor)
    trainer = EomtTrainer(
        make_model(model_args, data_args, labels),
        args,
        train_stream,
        eval_stream,
        labels=labels,
        task=data_args.task,
        pretrained=bool(model_args.checkpoint or model_args.timm_model),
        threshold=data_args.threshold,
        processing_class=processor,
        run_arguments=(model_args, data_args),
    )
    result = trainer.train(resume_from_checkpoint=args.resume_from_checkpoint)
    trainer.save_model(_internal_call=True)  # the push comes last, with scores and card
    trainer.save_state()
    _remove_results(trainer)
    trainer.mark_finished()
    trainer.save_metrics("train", result.metrics)
    trainer.save_state()
    if before := _scores_before(trainer):
        trainer.save_metrics("before", before)
    if eval_stream is not None:
        trainer.save_metrics("eval", trainer.evaluate())
    trainer.push_to_hub() if args.push_to_hub else trainer.create_model_card()
    return trainer


def _remove_results(trainer: EomtTrainer) -> None:
    """Drops scores and picture of an earlier evaluation in the same folder, so that none of them passes for this run's last."""
    if trainer.is_world_process_zero():
        for name in ("before", "train", "eval", "all"):
            (Path(trainer.args.output_dir) / f"{name}_results.json").unlink(missing_ok=True)
        trainer.overlays.remove(trainer.args)


def _scores_before(trainer: EomtTrainer) -> dict:
    """What `--eval_on_start` scored; empty without it."""
    scored = [entry for entry in trainer.state.log_history if entry["step"] == 0]
    return {f"before_{name[5:]}": value for entry in scored for name, value in entry.items() if name.startswith("eval_")}


def main() -> None:
    run(sys.argv[1:])
    PartialState().destroy_process_group()  # threads of it that are left may abort the process at its end


if __name__ == "__main__":
    main()
