"""ADE20K's official form (ADEChallengeData2016): `images/training` and `annotations/training`; for panoptic segmentation
`annotations_instance/training` as well.

Semantic: index images of 150 classes, all of them stuff. A value is a class index + 1, and 0 is void.

Panoptic: 100 of the classes are things. Their instances are in images of the third folder, in which red is the class among the
things, counted from 1, and green the number of the instance. An instance covers stuff. Pixels of a thing class without an
instance are void.

Shapes: H, W pixels.
"""

from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.formats.image_files import encoded_file, images_by_stem, too_large
from eomt.train_scripts.data.formats.index_images import read_indices
from eomt.train_scripts.data.formats.segment_rows import encoded_ids, recoded_map
from eomt.train_scripts.data.formats.source import Options, Source

Item = tuple[str, Path, list[Path]]  # stem, photo, and a PNG of each folder of annotations

INSTANCES = "annotations_instance"
_FACTS = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
CLASSES: list[str] = _FACTS["classes"]
THINGS: list[int] = _FACTS["things"]  # values, class index + 1


def read_semantic(images: Path, annotations: Path, options: Options) -> Source:
    """
    Raises:
        ValueError: a folder is missing or empty.
    """
    items, problems = _items(images, [annotations])
    return Source(Labels(CLASSES, [False] * len(CLASSES)), items, _semantic_row, _files, problems=problems)


def read_panoptic(images: Path, annotations: Path, options: Options) -> Source:
    """
    Raises:
        ValueError: a folder is missing or empty.
    """
    instances = annotations.parent.parent / INSTANCES / annotations.name
    labels = Labels(CLASSES, [index + 1 in THINGS for index in range(len(CLASSES))])
    items, problems = _items(images, [annotations, instances])
    return Source(labels, items, _panoptic_row, _files, problems=problems)


def _items(images: Path, folders: list[Path]) -> tuple[list[Item], list[str]]:
    """The photos that have a PNG in each folder, and a sentence for each file without a partner."""
    photos = images_by_stem(images)
    pngs = [images_by_stem(folder, (".png",), "annotations") for folder in folders]
    problems = [
        f"{photo} has no PNG of the same stem in {folder}. Unpack it there."
        for folder, by_stem in zip(folders, pngs, strict=True)
        for stem, photo in photos.items()
        if stem not in by_stem
    ]
    problems += [
        f"{png} has no photo of the same stem in {images}. Unpack it there."
        for by_stem in pngs
        for stem, png in by_stem.items()
        if stem not in photos
    ]
    complete = {stem: photo for stem, photo in photos.items() if all(stem in by_stem for by_stem in pngs)}
    return [(stem, photo, [by_stem[stem] for by_stem in pngs]) for stem, photo in complete.items()], problems


def _files(item: Item) -> list[Path]:
    return [item[1], *item[2]]


def _semantic_values(path: Path) -> np.ndarray:
    """(H, W), each 0 or a class index + 1."""
    values = read_indices(path)
    if wrong := sorted(set(np.unique(values).tolist()) - set(range(len(CLASSES) + 1))):
        raise BadSample(f"{path} has the values {wrong[:10]}; allowed are 0..{len(CLASSES)}.")
    return values


def _semantic_row(item: Item) -> dict:
    stem, photo, [png] = item
    values = _semantic_values(png)
    present = [value for value in np.unique(values).tolist() if value]
    return {
        "image_id": stem,
        "image": encoded_file(photo),
        "id_map": recoded_map(values, {value: value for value in present}),
        "segments": [{"id": value, "category": value - 1, "iscrowd": False} for value in present],
    }


def _panoptic_row(item: Item) -> dict:
    stem, photo, [png, instances] = item
    values, (classes, numbers) = _semantic_values(png), _read_instances(instances)
    if classes.shape != values.shape:
        raise BadSample(f"{instances} is {classes.shape}, but {png} {values.shape} pixels. They must have one size.")
    stuff = np.isin(values, THINGS, invert=True) & (values > 0) & (numbers == 0)
    ids, segments = np.where(stuff, values, 0), []
    for value in np.unique(ids[ids > 0]).tolist():
        segments.append({"id": value, "category": value - 1, "iscrowd": False})
    for number in np.unique(numbers[numbers > 0]).tolist():
        mask = numbers == number
        present = np.unique(classes[mask]).tolist()
        if len(present) > 1 or not 1 <= present[0] <= len(THINGS):
            raise BadSample(f"{instances}: instance {number} has the classes {present}; it takes one of 1..{len(THINGS)}.")
        ids[mask] = len(CLASSES) + number  # beyond the ids of stuff, which are its values
        segments.append({"id": len(CLASSES) + number, "category": THINGS[present[0] - 1] - 1, "iscrowd": False})
    return {"image_id": stem, "image": encoded_file(photo), "id_map": encoded_ids(ids), "segments": segments}


def _read_instances(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Each pixel's class among the things and number of the instance, both (H, W); 0 where there is no instance."""
    try:
        with Image.open(path) as image:
            if image.mode not in ("RGB", "RGBA"):
                raise BadSample(
                    f"{path} has the mode {image.mode}; it must be RGB, with the class in red and the instance in green."
                )
            pixels = np.asarray(image).astype(np.int64)
    except Image.DecompressionBombError as error:
        raise too_large(path, error) from error
    except (OSError, SyntaxError) as error:
        raise BadSample(f"{path}: can't be read as an image ({error}). Unpack it again.") from error
    return pixels[..., 0], pixels[..., 1]
