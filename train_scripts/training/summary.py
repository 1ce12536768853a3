"""What a run says at its end: scores by class, where things are, and what to do with them."""

from pathlib import Path

from eomt.train_scripts.data.next_command import next_line, predict_words
from eomt.train_scripts.evaluation.score_names import score_name
from eomt.train_scripts.evaluation.score_tables import score_tables
from eomt.train_scripts.training import overlays
from eomt.train_scripts.training.trainer import EomtTrainer

MOST_CLASSES = 20  # in the table


def run_summary(trainer: EomtTrainer) -> str:
    """The end of a run as lines to be printed.

    Args:
        trainer: of a run that has ended.
    """
    folder, data = Path(trainer.args.output_dir), trainer.description.data_args
    tiles = () if data.tiles is None else ("--tiles", f"{data.tiles:g}")
    lines, next_commands = [], [(*predict_words(str(folder), data.task), *tiles)]
    if trainer.validation.scores:
        lines += ["", score_tables(trainer.validation.scores, trainer.description.labels, most=MOST_CLASSES), ""]
        next_commands.append(
            ("score", "--checkpoint", str(folder), "--data", data.data, "--split", data.eval_split, "--task", data.task, *tiles)
        )
    lines.append(f"model:    {folder}{_best(trainer)}")
    if (folder / overlays.FILE).is_file():
        lines.append(f"picture:  {folder / overlays.FILE}")
    lines.append(f"scores:   {folder / 'all_results.json'}, described in {folder / 'README.md'}")
    return "\n".join([*lines, next_line(*next_commands)])


def _best(trainer: EomtTrainer) -> str:
    """The best evaluation, where checkpoints follow it."""
    state, name = trainer.state, trainer.args.metric_for_best_model or ""
    if state.best_metric is None or not state.best_global_step:
        return ""
    loaded = trainer.args.load_best_model_at_end and state.best_model_checkpoint is not None
    kept = "its weights" if loaded else "the weights are the last ones"
    score = score_name(name.removeprefix("eval_"))
    return f" (best {score} {state.best_metric:.1f} at step {state.best_global_step} of {state.global_step}; {kept})"
