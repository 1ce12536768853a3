"""A whole run, from its options to what it leaves in the output folder."""

from collections.abc import Callable

from transformers import set_seed

from eomt.train_scripts.data.dataset_folder import count_rows, read_labels
from eomt.train_scripts.evaluation.tasks import task_of
from eomt.train_scripts.training.announcement import announcement
from eomt.train_scripts.training.arguments import EomtTrainingArguments
from eomt.train_scripts.training.building import build_processor, build_streams
from eomt.train_scripts.training.composition import build_trainer, record_of, resumption_of
from eomt.train_scripts.training.data_arguments import DataArguments
from eomt.train_scripts.training.ending import end_run, finished_message
from eomt.train_scripts.training.folder_lock import only_run
from eomt.train_scripts.training.freed_memory import keep_freed_memory
from eomt.train_scripts.training.model_arguments import ModelArguments
from eomt.train_scripts.training.preparing import with_prepared_data
from eomt.train_scripts.training.trainer import EomtTrainer


def run_training(
    model_args: ModelArguments, data_args: DataArguments, args: EomtTrainingArguments, make_model: Callable
) -> EomtTrainer | None:
    """Trains, scores and saves a model. All processes must call it.

    Args:
        model_args, data_args, args: the run's options.
        make_model: options of model and data, and the task's classes -> a model, also in PEFT's wrapper.

    Returns:
        The trainer, with the trained model; its metrics are in `all_results.json` of the output folder. None if that holds the
        finished run already, which is then printed.
    """
    set_seed(args.seed)
    if args.device.type == "cpu":
        keep_freed_memory()
    with only_run(args):
        data_args = with_prepared_data(data_args, args)
        task = task_of(data_args.task)
        labels = task.labels(read_labels(data_args.data))
        task.check_data(data_args.data, data_args.train_split)
        if data_args.eval_split and data_args.tiles is None:  # joining all that an untrained model finds in tiles takes minutes
            task = task.of_split(data_args.data, data_args.eval_split)
        args.epochs_to_steps(count_rows(data_args.data, data_args.train_split))
        processor = build_processor(model_args, data_args, task, labels)
        streams = build_streams(data_args, args, processor, task)
        record = record_of(streams[0], model_args, data_args, args)
        if not args.overwrite and not args.push_to_hub and resumption_of(record, args).is_complete():
            if args.process_index == 0:
                print(finished_message(args.output_dir, data_args))
            return None
        model = make_model(model_args, data_args, labels)
        trainer = build_trainer(model, processor, streams, task, labels, model_args, data_args, args)
        if trainer.is_world_process_zero():
            print(announcement(model_args, data_args, args, trainer.model.config), flush=True)
        result = trainer.train(resume_from_checkpoint=args.resume_from_checkpoint)
        end_run(trainer, result.metrics)
        return trainer
