"""Predictions as files that other tools read, see `prediction_formats`, in a folder whose run can be interrupted.

Each image has a record, `records/<name>.json`, which appears when all else of it is written; so an interrupted run knows what is
done. The joint json files are made from the records in the end.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import Tensor

from eomt.image_processing.pictures import draw_segments
from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.image_sources import NamedImage, image_number
from eomt.train_scripts.evaluation.prediction_formats import save_image
from eomt.train_scripts.evaluation.tasks import Result, Task

PLAN = "run.json"


class PredictionFiles:
    """
    The output folder of a run.

    Args:
        folder: made if need be.
        task: whose format the files have.
        labels: the model's classes.
        plan: what decides the results; a folder with those of another plan is refused.
        category_ids: of the classes, in COCO's files; the class indices by default.
        overlays: whether pictures are drawn as well.

    Raises:
        ValueError: the folder has results of another plan, or something else.
    """

    def __init__(
        self,
        folder: str | Path,
        task: Task,
        labels: Labels,
        plan: Mapping,
        category_ids: list[int] | None = None,
        overlays: bool = False,
    ):
        self.folder, self.task, self.labels, self.overlays = Path(folder), task, labels, overlays
        category_ids = list(range(len(labels))) if category_ids is None else category_ids
        self.format = task.prediction_format(self.folder, labels, category_ids)
        classes = {"classes": labels.names, "isthing": labels.isthing, "category_ids": category_ids}
        self.plan = json.dumps({**plan, "task": task.name, "overlays": overlays, **classes}, indent=1)
        self._check_plan()

    def _check_plan(self) -> None:
        stored = self.folder / PLAN
        others = {path.name for path in self.folder.iterdir()} - {PLAN, f"{PLAN}.partial"} if self.folder.exists() else set()
        if others and stored.is_file() and stored.read_text() != self.plan:
            old, new = json.loads(stored.read_text()), json.loads(self.plan)
            differing = {name: old.get(name) for name in new if old.get(name) != new[name]}
            raise ValueError(f"output={self.folder} has predictions of another run, with {differing}. Choose another folder.")
        if not stored.is_file() and others:
            raise ValueError(f"output={self.folder} exists and holds something else. Choose another folder.")

    def start(self) -> None:
        """Makes the folder; of several processes one does."""
        self.folder.mkdir(parents=True, exist_ok=True)
        _write(self.folder / PLAN, self.plan)

    def is_done(self, name: str) -> bool:
        """Whether all of an image has been written, in this run or in an earlier one."""
        return self._record(name).is_file()

    def add(self, image: NamedImage, result: Result, confidences: Mapping[str, Tensor]) -> None:
        """Writes an image's prediction; it counts as done when all of it is there.

        Args:
            image: with its name.
            result: as the task's `result` gives it.
            confidences: levels 0..65,535 of each confidence at each pixel, (H, W) integers.
        """
        annotations = self.format.write(image, result)
        for name, levels in confidences.items():
            self.format.write_confidence(image, name, levels)
        height, width = image.image.shape[1:]
        if self.overlays:
            segmentation = self.task.drawn(result, (height, width))
            picture = draw_segments(image.image, segmentation, self.labels.names, self.labels.isthing)
            save_image(picture, self.folder / "overlays" / f"{image.image_id}.jpg")
        entry = {"id": image_number(image.image_id), "file_name": image.file_name, "height": height, "width": width}
        _write(self._record(image.image_id), json.dumps({"image": entry, "annotations": annotations}))

    def _record(self, name: str) -> Path:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ValueError(f"image name {name!r} leads out of the output folder. Give images plain names.")
        return self.folder / "records" / f"{name}.json"

    def join(self) -> Path | None:
        """Writes the format's joint file from all records; None where it has none."""
        if self.format.joint_file is None:
            return None
        path = self.folder / self.format.joint_file
        part = path.with_suffix(".partial")
        with open(part, "w") as file:
            self.format.join(file, self._records)
        os.replace(part, path)
        return path

    def _records(self) -> Iterator[dict]:
        for path in sorted((self.folder / "records").rglob("*.json")):
            yield json.loads(path.read_text())


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.partial")
    part.write_text(text)
    os.replace(part, path)
