"""Predictions as files that other tools read, see `prediction_formats`, in a folder whose run can be interrupted.

Each image has a record, `records/<name>.json`, which appears when all else of it is written; so an interrupted run knows what is
done. The joint json files are made from the records in the end.
"""

import errno
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import Tensor

from eomt.image_processing.pictures import draw_segments
from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.image_sources import NamedImage, image_number
from eomt.train_scripts.data.input_paths import absolute_if_here
from eomt.train_scripts.evaluation.prediction_formats import PredictionFormat, save_image
from eomt.train_scripts.evaluation.tasks import Result, Task
from eomt.train_scripts.evaluation.whole_files import PARTIAL, written_whole

PLAN = "run.json"
LONGEST_OVERLAY = 65_500  # pixels of a side, JPEG's limit; pictures of longer images are reduced to it
OF_NAME = (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)  # errors of a name that no file can have


class PredictionFiles:
    """
    The output folder of a run.

    Args:
        folder: made if need be.
        task: whose results are written.
        labels: the model's classes.
        form: of the files.
        plan: what decides the results; a folder with those of another plan is refused. `checkpoint`, `images` and `together`, which
            lists task=checkpoint, may name something on this machine, by any path.
        overlays: whether pictures are drawn as well.

    Raises:
        ValueError: the folder has results of another plan, or something else.
    """

    def __init__(
        self,
        folder: str | Path,
        task: Task,
        labels: Labels,
        form: PredictionFormat,
        plan: Mapping,
        overlays: bool = False,
    ):
        self.folder, self.task, self.labels, self.overlays = Path(folder), task, labels, overlays
        self.format = form
        classes = {"classes": labels.names, "isthing": labels.isthing, "category_ids": list(form.category_ids)}
        self.plan = json.dumps(_with_absolute_paths({**plan, "task": task.name, "overlays": overlays, **classes}), indent=1)
        self._check_plan()

    def _check_plan(self) -> None:
        stored = self.folder / PLAN
        paths = self.folder.iterdir() if self.folder.exists() else ()
        others = {path.name for path in paths if path.suffix != PARTIAL} - {PLAN}
        if others and stored.is_file():
            old, new = _with_absolute_paths(json.loads(stored.read_text())), json.loads(self.plan)
            names = [name for name in {**new, **old} if old.get(name) != new.get(name)]
            if names:
                differing = ", ".join(f"{name}={new.get(name)} instead of {old.get(name)}" for name in names)
                raise ValueError(
                    f"output={self.folder} has predictions of another run, this one having {differing}. Choose another folder, or "
                    "give the same options to go on with it"
                )
        if not stored.is_file() and others:
            raise ValueError(f"output={self.folder} exists and holds something else. Choose another folder.")

    def start(self) -> None:
        """Makes the folder; of several processes one does."""
        self.folder.mkdir(parents=True, exist_ok=True)
        _write(self.folder / PLAN, self.plan)

    def is_done(self, name: str) -> bool:
        """Whether all of an image has been written, in this run or in an earlier one."""
        try:
            return self._record(name).is_file()
        except OSError as error:
            if error.errno not in OF_NAME:
                raise
            return False

    def add(self, image: NamedImage, result: Result, confidences: Mapping[str, Tensor]) -> None:
        """Writes an image's prediction; it counts as done when all of it is there.

        Args:
            image: with its name.
            result: as the task's `result` gives it.
            confidences: levels 0..65,535 of each confidence at each pixel, (H, W) integers.

        Raises:
            BadSample: no file can have the image's name.
            OSError: of the disk, which is full or can't be written to.
        """
        try:
            self._write_image(image, result, confidences)
        except OSError as error:
            if error.errno not in OF_NAME:
                raise
            raise BadSample(
                f"{image.file_name}: its files can't have its name ({error.strerror}); give the image a shorter or plainer one"
            ) from error

    def _write_image(self, image: NamedImage, result: Result, confidences: Mapping[str, Tensor]) -> None:
        annotations = self.format.write(image, result)
        for name, levels in confidences.items():
            self.format.write_confidence(image, name, levels)
        height, width = image.image.shape[1:]
        if self.overlays:
            segmentation = self.task.drawn(result, (height, width))
            scale = min(1.0, LONGEST_OVERLAY / max(height, width))
            size = max(1, round(width * scale)), max(1, round(height * scale))
            picture = draw_segments(image.image, segmentation, self.labels.names, self.labels.isthing, size)
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
        with written_whole(path) as part, open(part, "w") as file:
            self.format.join(file, self._records)
        return path

    def _records(self) -> Iterator[dict]:
        for path in sorted((self.folder / "records").rglob("*.json")):
            yield json.loads(path.read_text())


def _with_absolute_paths(plan: Mapping) -> dict:
    """A plan in which what is on this machine has one name, wherever the command is given."""
    named = {name: absolute_if_here(plan[name]) for name in ("checkpoint", "images") if name in plan}
    if "together" in plan:
        pairs = (one.split("=", 1) for one in plan["together"])
        named["together"] = [f"{task}={absolute_if_here(checkpoint)}" for task, checkpoint in pairs]
    return {**plan, **named}


def _write(path: Path, text: str) -> None:
    with written_whole(path) as part:
        part.write_text(text)
