"""What a run is about to do, in a few lines before it begins."""

import sys

from eomt.train_scripts.data.dataset_folder import count_rows
from eomt.train_scripts.evaluation.precision import describe_machine
from eomt.train_scripts.training.arguments import EomtTrainingArguments
from eomt.train_scripts.training.data_arguments import DataArguments
from eomt.train_scripts.training.model_arguments import ModelArguments
from eomt.train_scripts.training.model_card import describe_start


def announcement(model_args: ModelArguments, data_args: DataArguments, args: EomtTrainingArguments, attention: str) -> str:
    """Machine and precision, images, steps, and the weights that the run starts from.

    Args:
        model_args, data_args, args: the run's options, epochs turned into steps.
        attention: the model's implementation.
    """
    images = count_rows(data_args.data, data_args.train_split)
    eval_images = count_rows(data_args.data, data_args.eval_split) if data_args.eval_split else 0
    batch = args.total_batch_size
    if args.minutes is None:
        length = f"{args.max_steps} steps of {batch} images ({args.max_steps * batch / images:.3g} epochs)"
    else:
        length = f"{args.minutes:g} minutes of steps of {batch} images"
    start, _ = describe_start(model_args)
    if start == "random weights":
        start = f"{_bold('RANDOM WEIGHTS')}: give timm_model or checkpoint to start from a pretrained model"
    crops = f"crops of {data_args.image_size} pixels"
    if data_args.start_image_size is not None:
        crops = f"crops of {data_args.start_image_size} pixels for {100 * data_args.start_share:g} % of the training, then {crops}"
    lines = {
        "runs in": describe_machine(args.device, args.autocast_dtype, attention, args.world_size),
        "trains on": f"{images} images of {data_args.data} ({data_args.train_split}), {length}, {crops}",
        "scores on": f"{eval_images} images ({data_args.eval_split})" if eval_images else "nothing",
        "starts from": start,
    }
    return "\n".join(f"{name + ':':<13}{text}" for name, text in lines.items())


def _bold(text: str) -> str:
    return f"\033[1m{text}\033[0m" if sys.stdout.isatty() else text
