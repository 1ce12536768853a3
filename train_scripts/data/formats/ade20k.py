"""ADE20K's official form (ADEChallengeData2016): `images/training`, `annotations/training`, and for panoptic segmentation
`annotations_instance/training` as well.

Semantic: 150 classes of stuff, value 0 is void. Panoptic: 100 of them are things, whose instances are in the other folder: red
is the class among the things, green the instance. Things cover stuff; pixels of things without an instance are void.
"""

from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.formats.source import (
    Options,
    Source,
    encoded_file,
    encoded_ids,
    images_by_stem,
    read_indices,
    recoded_map,
)
from eomt.train_scripts.data.samples import BadSample

INSTANCES = "annotations_instance"
_FACTS = yaml.safe_load((Path(__file__).with_suffix(".yaml")).read_text())
CLASSES: list[str] = _FACTS["classes"]
THINGS: list[int] = _FACTS["things"]  # values, class index + 1


def read_semantic(images: Path, annotations: Path, options: Options) -> Source:
    """Raises ValueError if a folder is missing or empty."""
    items, alone = _items(images, [annotations])
    return Source(Labels(CLASSES, [False] * len(CLASSES)), items, _semantic_row, _files, problems=alone)


def read_panoptic(images: Path, annotations: Path, options: Options) -> Source:
    """Raises ValueError if a folder is missing or empty."""
    instances = annotations.parent.parent / INSTANCES / annotations.name
    labels = Labels(CLASSES, [index + 1 in THINGS for index in range(len(CLASSES))])
    items, alone = _items(images, [annotations, instances])
    return Source(labels, items, _panoptic_row, _files, problems=alone)


def _items(images: Path, folders: list[Path]) -> tuple[list[tuple[str, Path, list[Path]]], list[str]]:
    """Stem, photo and its labels; and what is to be said of those that lack the other."""
    photos = images_by_stem(images)
    labels = [images_by_stem(folder, (".png",), "annotations") for folder in folders]
    alone = [
        f"{photo} has no PNG of the same stem in {folder}. Unpack it there."
        for folder, by_stem in zip(folders, labels, strict=True)
        for stem, photo in photos.items()
        if stem not in by_stem
    ]
    alone += [
        f"{png} has no photo of the same stem in {images}. Unpack it there."
        for by_stem in labels
        for stem, png in by_stem.items()
        if stem not in photos
    ]
    whole = {stem: photo for stem, photo in photos.items() if all(stem in by_stem for by_stem in labels)}
    return [(stem, photo, [by_stem[stem] for by_stem in labels]) for stem, photo in whole.items()], alone


def _files(item: tuple[str, Path, list[Path]]) -> list[Path]:
    return [item[1], *item[2]]


def _semantic_values(path: Path) -> np.ndarray:
    values = read_indices(path)
    if wrong := sorted(set(np.unique(values).tolist()) - set(range(len(CLASSES) + 1))):
        raise BadSample(f"{path} has the values {wrong[:10]}; allowed are 0..{len(CLASSES)}.")
    return values


def _semantic_row(item: tuple[str, Path, list[Path]]) -> dict:
    stem, photo, [labels] = item
    values = _semantic_values(labels)
    present = [value for value in np.unique(values).tolist() if value]
    return {
        "image_id": stem,
        "image": encoded_file(photo),
        "id_map": recoded_map(values, {value: value for value in present}),
        "segments": [{"id": value, "category": value - 1, "iscrowd": False} for value in present],
    }


def _panoptic_row(item: tuple[str, Path, list[Path]]) -> dict:
    stem, photo, [labels, instances] = item
    values, (classes, numbers) = _semantic_values(labels), _read_instances(instances)
    if classes.shape != values.shape:
        raise BadSample(f"{instances} is {classes.shape}, but {labels} {values.shape} pixels. They must have one size.")
    stuff = np.isin(values, THINGS, invert=True) & (values > 0) & (numbers == 0)
    ids, segments = np.where(stuff, values, 0), []
    for value in np.unique(ids[ids > 0]).tolist():
        segments.append({"id": value, "category": value - 1, "iscrowd": False})
    for number in np.unique(numbers[numbers > 0]).tolist():
        mask = numbers == number
        present = np.unique(classes[mask]).tolist()
        if len(present) > 1 or not 1 <= present[0] <= len(THINGS):
            raise BadSample(f"{instances}: instance {number} has the classes {present}; it takes one of 1..{len(THINGS)}.")
        ids[mask] = len(CLASSES) + number
        segments.append({"id": len(CLASSES) + number, "category": THINGS[present[0] - 1] - 1, "iscrowd": False})
    return {"image_id": stem, "image": encoded_file(photo), "id_map": encoded_ids(ids), "segments": segments}


def _read_instances(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Class among the things and number of the instance, each (H, W); 0 where there is none."""
    try:
        with Image.open(path) as image:
            if image.mode not in ("RGB", "RGBA"):
                raise BadSample(
                    f"{path} has the mode {image.mode}; it must be RGB, with the class in red and the instance in green."
                )
            pixels = np.asarray(image).astype(np.int64)
    except (OSError, SyntaxError) as error:
        raise BadSample(f"{path}: can't be read as an image ({error}). Unpack it again.") from error
    return pixels[..., 0], pixels[..., 1]
