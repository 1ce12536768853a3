"""The end of a run: its model is stored, scored and described, in an order to which an interruption does no harm."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eomt.train_scripts.training.data_arguments import DataArguments
from eomt.train_scripts.training.trainer import EomtTrainer
from eomt.train_scripts.training.used_folder import RESULTS


def end_run(trainer: EomtTrainer, metrics: Mapping[str, float]) -> None:
    """Leaves everything that a finished run leaves in its output folder. All processes must call it.

    The model comes first, then the mark that it is finished: a run that is killed later and started again doesn't train
    again, and makes up for the rest. The push comes last, since it uploads the rest.

    Args:
        trainer: whose training has ended.
        metrics: of the training, as `train` returns them.
    """
    args = trainer.args
    trainer.save_model(_internal_call=True)  # without a push
    trainer.save_state()
    if trainer.is_world_process_zero():
        remove_results(args.output_dir)
        trainer.validation.overlays.remove(args)
    trainer.finished_mark.write(args)
    trainer.saver.remove_interim(args, trainer.state.best_model_checkpoint)
    trainer.save_metrics("train", metrics)
    if before := scores_before(trainer.state.log_history):
        trainer.save_metrics("before", before)
    if trainer.eval_dataset is not None:
        trainer.save_metrics("eval", trainer.evaluate())
    if not args.push_to_hub:
        trainer.create_model_card()
    trainer.finished_mark.complete(args)
    if args.push_to_hub:
        trainer.push_to_hub()  # writes the card too; a run that is to be pushed is pushed again when it is given again


def finished_message(output_dir: str, data_args: DataArguments) -> str:
    """What to do with the finished run that an output folder holds."""
    scored = f"--data {data_args.data} --split {data_args.eval_split or data_args.train_split} --task {data_args.task}"
    return (
        f"{output_dir} holds this run, finished: nothing is left to train. Score it (eomt score --checkpoint {output_dir} "
        f"{scored}), segment images (eomt predict --checkpoint {output_dir} --images DIR --task {data_args.task} --output DIR), "
        "or give --overwrite to remove it and train anew"
    )


def remove_results(folder: str | Path) -> None:
    """Removes the scores of an earlier run in the same folder, so that none of them passes for this run's."""
    for name in RESULTS:
        (Path(folder) / f"{name}_results.json").unlink(missing_ok=True)


def scores_before(log_history: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What `--eval_on_start` scored, as `before_pq` and so on; empty without it."""
    scored = [entry for entry in log_history if entry["step"] == 0]
    return {f"before_{name[5:]}": value for entry in scored for name, value in entry.items() if name.startswith("eval_")}
