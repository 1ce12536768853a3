"""A picture of a few validation images, the same every time, with truth and prediction, after every evaluation."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations import TensorBoardCallback

from eomt.image_processing.pictures import GridRow, picture_grid
from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.samples import Sample
from eomt.train_scripts.evaluation.pictures import keep_rows
from eomt.train_scripts.evaluation.tasks import Task
from eomt.train_scripts.training.progress import TrainingProgress

FILE = "picture.png"
NAME = "overlays"  # in TensorBoard and W&B


class OverlayCallback(TrainerCallback):
    """
    Draws a few images of every evaluation to `picture.png` in the output folder, and to TensorBoard and W&B where they are reported
    to.

    The predictions are those that are scored, which pass by anyway. Only the first process draws, and the clock of a time budget
    stands still meanwhile.

    Args:
        labels: the classes.
        images: how many to draw; 0 draws nothing.
        progress: of the training.

    Attributes:
        reporters: callbacks of the Trainer, among which its TensorBoard writer is looked for.
    """

    def __init__(self, labels: Labels, images: int, progress: TrainingProgress):
        self.labels, self.images, self.progress = labels, images, progress
        self.reporters: Sequence[TrainerCallback] = ()
        self._rows: list[GridRow] = []

    def passing(self, predictions: Iterable[tuple[Sample, Any]], task: Task, total: int) -> Iterator[tuple[Sample, Any]]:
        """The predictions for `total` images, of which a few, the same every time, are kept to be drawn."""
        self._rows = []
        return keep_rows(predictions, task, self._rows, self.images, total)

    def remove(self, args: TrainingArguments) -> None:
        """Removes the last picture."""
        (Path(args.output_dir) / FILE).unlink(missing_ok=True)

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_) -> None:
        rows, self._rows = self._rows, []
        if not rows or not state.is_world_process_zero:
            return
        with self.progress.paused():
            path = Path(args.output_dir) / FILE
            path.parent.mkdir(parents=True, exist_ok=True)
            picture_grid(rows, path, self.labels.names, self.labels.isthing)
            with Image.open(path) as picture:
                self._report(picture.convert("RGB"), state.global_step, "wandb" in args.report_to)

    def _report(self, picture: Image.Image, step: int, to_wandb: bool) -> None:
        for callback in self.reporters:
            if isinstance(callback, TensorBoardCallback) and callback.tb_writer is not None:
                callback.tb_writer.add_image(NAME, np.asarray(picture), step, dataformats="HWC")
                callback.tb_writer.flush()
        if to_wandb:
            import wandb  # an optional dependency; Trainer refuses to report to it where it is missing

            wandb.log({NAME: wandb.Image(picture), "train/global_step": step})
