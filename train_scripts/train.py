"""Fine-tunes EoMT for semantic, instance or panoptic segmentation.

    python train_scripts/train.py --recipe demo --data DIR
    accelerate launch train_scripts/train.py --timm_model vit_small_patch14_reg4_dinov2 --data DIR --output_dir OUT

`--help` lists every option with its default; a recipe is a YAML file of the same options.
"""

from collections.abc import Callable, Sequence

from accelerate import PartialState
from transformers import set_seed

from eomt.train_scripts.data.command import command
from eomt.train_scripts.data.dataset_folder import count_rows, read_labels
from eomt.train_scripts.evaluation.tasks import task_of
from eomt.train_scripts.training.announcement import announcement
from eomt.train_scripts.training.arguments import DataArguments, EomtTrainingArguments, ModelArguments
from eomt.train_scripts.training.building import build_model, build_streams
from eomt.train_scripts.training.composition import build_trainer
from eomt.train_scripts.training.ending import end_run
from eomt.train_scripts.training.recipe import parse_arguments
from eomt.train_scripts.training.summary import run_summary
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
    task = task_of(data_args.task)
    labels = task.labels(read_labels(data_args.data))
    args.epochs_to_steps(count_rows(data_args.data, data_args.train_split))
    processor = task.processor(data_args.image_size, labels)
    streams = build_streams(data_args, args, processor, task)
    model = make_model(model_args, data_args, labels)
    trainer = build_trainer(model, processor, streams, task, labels, model_args, data_args, args)
    if trainer.is_world_process_zero():
        print(announcement(model_args, data_args, args, model.config._attn_implementation), flush=True)
    result = trainer.train(resume_from_checkpoint=args.resume_from_checkpoint)
    end_run(trainer, result.metrics)
    return trainer


@command
def main(words: Sequence[str]) -> None:
    trainer = run(words)
    if trainer.is_world_process_zero():
        print(run_summary(trainer))
    PartialState().destroy_process_group()  # threads of it that are left may abort the process at its end


if __name__ == "__main__":
    main()
