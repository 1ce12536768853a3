"""Predictions as files that other tools read: COCO's panoptic and instance forms, and index images.

Each image has a record, `records/<name>.json`, which appears when all else of it is written; so an interrupted run knows what is
done. The joint json files are made from the records in the end.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask
from torch import Tensor

from eomt.image_processing.pictures import draw_segments
from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.image_sources import NamedImage, image_number
from eomt.train_scripts.evaluation.reporting import drawable

PLAN = "run.json"
VOID_INDEX = 255  # in index images with fewer classes; else 65535


class PredictionFiles:
    """
    The output folder of a run.

    Args:
        folder: made if need be.
        task: one of `eomt.train_scripts.evaluation.tasks.TASKS`.
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
        task: str,
        labels: Labels,
        plan: Mapping,
        category_ids: list[int] | None = None,
        overlays: bool = False,
    ):
        self.folder, self.task, self.labels, self.overlays = Path(folder), task, labels, overlays
        self.category_ids = list(range(len(labels))) if category_ids is None else category_ids
        classes = {"classes": labels.names, "isthing": labels.isthing, "category_ids": self.category_ids}
        self.plan = json.dumps({**plan, "task": task, "overlays": overlays, **classes}, indent=1)
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
        return self._record(name).is_file()

    def add(self, image: NamedImage, result: dict | Tensor) -> None:
        """Writes an image's prediction, as [`predictions`] yields it; it counts as done when all of it is there."""
        content = {"semantic": self._semantic, "panoptic": self._panoptic, "instance": self._instances}[self.task](image, result)
        if self.overlays:
            size = tuple(image.image.shape[1:])
            picture = draw_segments(image.image, drawable(result, size, 0.5), self.labels.names, self.labels.isthing)
            _save_image(picture, self.folder / "overlays" / f"{image.image_id}.jpg")
        height, width = image.image.shape[1:]
        entry = {"id": image_number(image.image_id), "file_name": image.file_name, "height": height, "width": width}
        _write(self._record(image.image_id), json.dumps({"image": entry, "annotations": content}))

    def _record(self, name: str) -> Path:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ValueError(f"image name {name!r} leads out of the output folder. Give images plain names.")
        return self.folder / "records" / f"{name}.json"

    def _semantic(self, image: NamedImage, result: Tensor) -> list:
        few = len(self.labels) <= VOID_INDEX
        indices = result.cpu().numpy()
        indices = np.where(indices < 0, VOID_INDEX if few else 65535, indices).astype(np.uint8 if few else np.uint16)
        _save_image(Image.fromarray(indices), self.folder / "semantic" / f"{image.image_id}.png")
        return []

    def _panoptic(self, image: NamedImage, result: dict) -> list[dict]:
        ids = result["segmentation"].cpu().numpy().astype(np.int64) + 1  # 0 is void
        segments = []
        for info in result["segments_info"]:
            rows, columns = np.nonzero(ids == info["id"] + 1)
            left, top = int(columns.min()), int(rows.min())
            segments.append(
                {
                    "id": info["id"] + 1,
                    "category_id": self.category_ids[info["label_id"]],
                    "area": len(rows),
                    "bbox": [left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1],
                    "iscrowd": 0,
                    "score": info["score"],
                }
            )
        ids[~np.isin(ids, [segment["id"] for segment in segments])] = 0
        channels = np.stack([ids % 256, ids // 256 % 256, ids // 65536], -1).astype(np.uint8)
        _save_image(Image.fromarray(channels), self.folder / "panoptic" / f"{image.image_id}.png")
        number, name = image_number(image.image_id), f"{image.image_id}.png"
        return [{"image_id": number, "file_name": name, "segments_info": segments}]

    def _instances(self, image: NamedImage, result: dict) -> list[dict]:
        scores, labels = result["scores"].tolist(), result["labels"].tolist()
        return [
            {
                "image_id": image_number(image.image_id),
                "category_id": self.category_ids[label],
                "segmentation": {"size": list(rle["size"]), "counts": rle["counts"].decode()},
                "score": score,
                "bbox": coco_mask.toBbox(rle).tolist(),
            }
            for rle, score, label in zip(result["rles"], scores, labels, strict=True)
        ]

    def join(self) -> Path | None:
        """Writes `panoptic.json` or `instances.json` from all records, one at a time; index images need none."""
        if self.task == "semantic":
            return None
        path = self.folder / ("panoptic.json" if self.task == "panoptic" else "instances.json")
        part = path.with_suffix(".partial")
        with open(part, "w") as file:
            if self.task == "instance":  # COCO's results are a plain list
                _write_list(file, (json.dumps(entry) for record in self._records() for entry in record["annotations"]))
            else:
                file.write('{"images": ')
                _write_list(file, (json.dumps(record["image"]) for record in self._records()))
                file.write(',\n"annotations": ')
                _write_list(file, (json.dumps(entry) for record in self._records() for entry in record["annotations"]))
                classes = zip(self.category_ids, self.labels.names, self.labels.isthing, strict=True)
                categories = [{"id": number, "name": name, "isthing": int(thing)} for number, name, thing in classes]
                file.write(f',\n"categories": {json.dumps(categories)}}}\n')
        os.replace(part, path)
        return path

    def _records(self) -> Iterator[dict]:
        for path in sorted((self.folder / "records").rglob("*.json")):
            yield json.loads(path.read_text())


def _write_list(file, entries: Iterator[str]) -> None:
    file.write("[")
    for place, entry in enumerate(entries):
        file.write((",\n" if place else "\n") + entry)
    file.write("\n]")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.partial")
    part.write_text(text)
    os.replace(part, path)


def _save_image(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.partial")
    image.save(part, "JPEG" if path.suffix == ".jpg" else "PNG")
    os.replace(part, path)
