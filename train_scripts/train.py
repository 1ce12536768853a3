"""Fine-tunes EoMT for semantic, instance or panoptic segmentation.

    python train_scripts/train.py --recipe demo --data DIR
    accelerate launch train_scripts/train.py --timm_model vit_small_patch14_reg4_dinov2 --data DIR --output_dir OUT

`--help` lists the options that most runs need, `--help_all` every one; a recipe is a YAML file of the same options.
Interrupted, the same command goes on.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from eomt.train_scripts.data.command import command
from eomt.train_scripts.data.input_paths import check_checkpoint, check_data
from eomt.train_scripts.training.arguments import EomtTrainingArguments
from eomt.train_scripts.training.data_arguments import DataArguments
from eomt.train_scripts.training.model_arguments import ModelArguments
from eomt.train_scripts.training.recipe import parse_arguments

if TYPE_CHECKING:
    from eomt.train_scripts.training.trainer import EomtTrainer


def run(argv: Sequence[str], make_model: Callable | None = None) -> "EomtTrainer | None":
    """Trains, scores and saves a model; see `run_training`.

    Args:
        argv: the words after the script's name.
        make_model: in place of `build_model`, for a benchmark that trains another model in this loop.
    """
    classes = ModelArguments, DataArguments, EomtTrainingArguments
    model_args, data_args, args = parse_arguments(classes, argv)
    if not data_args.fit_to_data:
        args.check_shares()
    check_data(data_args.data)
    if model_args.checkpoint:
        check_checkpoint(model_args.checkpoint)
    if data_args.fit_to_data:
        from eomt.train_scripts.training.fitting import parse_fitted

        model_args, data_args, args = parse_fitted(classes, argv, (model_args, data_args, args))
    # heavy modules come after the options, so that a wrong option is answered at once
    from eomt.train_scripts.training.building import build_model
    from eomt.train_scripts.training.run import run_training

    return run_training(model_args, data_args, args, make_model or build_model)


@command
def main(words: Sequence[str]) -> None:
    trainer = run(words)
    if trainer is not None and trainer.is_world_process_zero():
        from eomt.train_scripts.training.summary import run_summary

        print(run_summary(trainer))


if __name__ == "__main__":
    main()
