"""What is written of one image's prediction, a class a task: COCO's panoptic and instance forms, and index images.

Shapes: H, W pixels.
"""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask
from torch import Tensor

from eomt.train_scripts.data.bravo_tree import CLASS_NAMES, CONFIDENCE_END, FOLDERS, PREDICTION_END
from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.image_sources import NamedImage, image_number
from eomt.train_scripts.evaluation.whole_files import written_whole

VOID_INDEX = 255  # in index images of fewer classes
WIDE_VOID_INDEX = 65535  # in those of more


class PredictionFormat(ABC):
    """
    Writes what belongs to one image, and joins all images in the end.

    Args:
        folder: of the predictions.
        labels: the model's classes.
        category_ids: of the classes, in COCO's files.

    Attributes:
        joint_file: the name of the json file for all images, None where there is none.
    """

    joint_file: str | None

    def __init__(self, folder: Path, labels: Labels, category_ids: Sequence[int]):
        self.folder, self.labels, self.category_ids = folder, labels, category_ids

    @abstractmethod
    def write(self, image: NamedImage, result: Any) -> list[dict]:
        """Writes an image's files, and returns its annotations, which are kept in its record."""

    def write_confidence(self, image: NamedImage, name: str, levels: Tensor) -> None:
        """Writes `confidence/<score>/<name>.png`, grey of 16 bits: the (H, W) levels 0..65,535 of a confidence at each pixel."""
        save_levels(levels, self.folder / "confidence" / name / f"{image.image_id}.png")

    @abstractmethod
    def join(self, file: TextIO, records: Callable[[], Iterator[dict]]) -> None:
        """Writes the joint file from the records, {image, annotations}, of which one at a time is in memory."""


class SemanticFormat(PredictionFormat):
    """`semantic/<name>.png`: an index image, whose values are class indices."""

    joint_file = None

    def write(self, image: NamedImage, result: Tensor) -> list[dict]:
        few = len(self.labels) <= VOID_INDEX
        indices = result.cpu().numpy()
        void, dtype = (VOID_INDEX, np.uint8) if few else (WIDE_VOID_INDEX, np.uint16)
        indices = np.where(indices < 0, void, indices).astype(dtype)
        save_image(Image.fromarray(indices), self.folder / "semantic" / f"{image.image_id}.png")
        return []

    def join(self, file: TextIO, records: Callable[[], Iterator[dict]]) -> None:
        """Index images need no joint file."""


class BravoFormat(SemanticFormat):
    """`bravo/<name>_pred.png`, an index image of Cityscapes' 19 classes, and `bravo/<name>_conf.png`, grey of 16 bits.

    Raises:
        ValueError: the model has other classes.
    """

    def __init__(self, folder: Path, labels: Labels, category_ids: Sequence[int]):
        super().__init__(folder, labels, category_ids)
        nameless = all(re.fullmatch(r"LABEL_\d+", name) for name in labels.names)  # a model's without names
        if len(labels) != len(CLASS_NAMES) or not nameless and tuple(labels.names) != CLASS_NAMES:
            raise ValueError(
                f"format='bravo' is for Cityscapes' classes, {', '.join(CLASS_NAMES)}, but the checkpoint has {len(labels)}: "
                f"{', '.join(labels.names[:10])}. Give one that was trained on Cityscapes"
            )

    def write(self, image: NamedImage, result: Tensor) -> list[dict]:
        save_image(Image.fromarray(result.cpu().numpy().astype(np.uint8)), self._path(image, PREDICTION_END))
        return []

    def write_confidence(self, image: NamedImage, name: str, levels: Tensor) -> None:
        save_levels(levels, self._path(image, CONFIDENCE_END))

    def _path(self, image: NamedImage, end: str) -> Path:
        if Path(image.image_id).parts[0] not in FOLDERS:
            raise ValueError(f"images has {image.file_name}, but format='bravo' needs the folder that {', '.join(FOLDERS)} are in")
        return self.folder / "bravo" / f"{image.image_id}{end}"


class PanopticFormat(PredictionFormat):
    """`panoptic/<name>.png`, RGB with id = R + 256 G + 65536 B, and COCO's `panoptic.json`; id 0 is void."""

    joint_file = "panoptic.json"

    def write(self, image: NamedImage, result: dict) -> list[dict]:
        ids = result["segmentation"].cpu().numpy().astype(np.int64) + 1
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
        save_image(Image.fromarray(channels), self.folder / "panoptic" / f"{image.image_id}.png")
        number, name = image_number(image.image_id), f"{image.image_id}.png"
        return [{"image_id": number, "file_name": name, "segments_info": segments}]

    def join(self, file: TextIO, records: Callable[[], Iterator[dict]]) -> None:
        file.write('{"images": ')
        _write_list(file, (json.dumps(record["image"]) for record in records()))
        file.write(',\n"annotations": ')
        _write_list(file, (json.dumps(entry) for record in records() for entry in record["annotations"]))
        classes = zip(self.category_ids, self.labels.names, self.labels.isthing, strict=True)
        categories = [{"id": number, "name": name, "isthing": int(thing)} for number, name, thing in classes]
        file.write(f',\n"categories": {json.dumps(categories)}}}\n')


class InstanceFormat(PredictionFormat):
    """COCO's `instances.json`, a plain list of compressed masks with scores."""

    joint_file = "instances.json"

    def write(self, image: NamedImage, result: dict) -> list[dict]:
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

    def join(self, file: TextIO, records: Callable[[], Iterator[dict]]) -> None:
        _write_list(file, (json.dumps(entry) for record in records() for entry in record["annotations"]))


def save_levels(levels: Tensor, path: Path) -> None:
    """Writes (H, W) integers 0..65,535 as a grey PNG of 16 bits."""
    save_image(Image.fromarray(levels.cpu().numpy().astype(np.uint16)), path)


def _write_list(file: TextIO, entries: Iterable[str]) -> None:
    file.write("[")
    for index, entry in enumerate(entries):
        file.write((",\n" if index else "\n") + entry)
    file.write("\n]")


def save_image(image: Image.Image, path: Path) -> None:
    """Writes a JPEG or PNG, which appears when it is whole."""
    with written_whole(path) as part:
        image.save(part, "JPEG" if path.suffix == ".jpg" else "PNG")
