"""What a run is about to do, in a few lines before it begins."""

import math
import sys

from eomt.configuration import EomtBaseConfig
from eomt.train_scripts.data.dataset_folder import count_rows, read_labels
from eomt.train_scripts.data.split_report import SplitReport
from eomt.train_scripts.evaluation.precision import describe_machine
from eomt.train_scripts.training.arguments import EomtTrainingArguments
from eomt.train_scripts.training.data_arguments import DataArguments
from eomt.train_scripts.training.model_arguments import ModelArguments
from eomt.train_scripts.training.model_card import describe_start


def announcement(model_args: ModelArguments, data_args: DataArguments, args: EomtTrainingArguments, config: EomtBaseConfig) -> str:
    """Machine and precision, images, steps, the weights that the run starts from, and whether its queries suffice.

    Args:
        model_args, data_args, args: the run's options, epochs turned into steps.
        config: the model's.
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
        "runs in": describe_machine(args.device, args.autocast_dtype, config._attn_implementation, args.world_size),
        "trains on": f"{images} images of {data_args.data} ({data_args.train_split}), {length}, {crops}",
        "scores on": f"{eval_images} images ({data_args.eval_split})" if eval_images else "nothing",
        "starts from": start,
    }
    most = most_segments(data_args)
    if most > config.num_queries:
        lines["queries"] = (
            f"{config.num_queries}, but a crop may show {most} segments, and is trained on with as many of them as there are "
            f"queries; for all, give --config '{{\"num_queries\": {most}}}'"
        )
    return "\n".join(f"{name + ':':<13}{text}" for name, text in lines.items())


def most_segments(data_args: DataArguments) -> int:
    """That a crop shows at most, about, by the report beside the data; 0 without one.

    At twice the scale it shows a quarter of an image. What is pasted over it counts.
    """
    report = SplitReport.beside(data_args.data, data_args.train_split)
    if report is None:
        return 0
    if data_args.task == "semantic":
        return min(report.most_segments, len(read_labels(data_args.data)))
    enlarged = max(1.0, data_args.min_scale) if data_args.augment else 1.0
    return math.ceil(report.most_segments / enlarged**2) * (2 if data_args.copy_paste else 1)


def _bold(text: str) -> str:
    return f"\033[1m{text}\033[0m" if sys.stdout.isatty() else text
