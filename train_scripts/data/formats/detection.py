"""Which format annotations have, and where the splits of a downloaded dataset lie."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from eomt.train_scripts.data.formats import ade20k, cityscapes, coco, masks, via, yolo
from eomt.train_scripts.data.formats.source import Options, Source

READERS: dict[str, Callable[[Path, Path, Options], Source]] = {
    "coco_panoptic": coco.read_panoptic,
    "coco_instances": coco.read_instances,
    "cityscapes": cityscapes.read,
    "ade20k_semantic": ade20k.read_semantic,
    "ade20k_panoptic": ade20k.read_panoptic,
    "yolo": yolo.read,
    "via": via.read,
    "masks": masks.read,
}
OPTIONS = {  # of `Options`, by format; others have none
    "coco_instances": {"stuff"},
    "yolo": {"classes", "stuff"},
    "via": {"classes", "stuff", "class_key"},
    "masks": {"classes", "kind", "void"},
}
NOTES = ("classes.txt", "readme.txt")  # lie beside annotations of several formats
SPLIT_NAMES = {"training": "train", "validation": "val", "valid": "val"}
KNOWN = """\
    coco_panoptic    annotations/panoptic_train2017.json with the folder of its PNGs, and train2017
    coco_instances   annotations/instances_train2017.json and train2017; or train/_annotations.coco.json among its images
    cityscapes       leftImg8bit/train and gtFine/train
    ade20k_semantic  images/training and annotations/training
    ade20k_panoptic  the same and annotations_instance/training
    yolo             images/train and labels/train, or train/images and train/labels, and data.yaml
    via              train/via_region_data.json among its images
    masks            images and masks, or images/train and masks/train, or train/images and train/masks"""


@dataclass(frozen=True)
class Split:
    """A split's images and annotations, and the format of these."""

    name: str
    format: str
    images: Path
    annotations: Path


def detect_format(annotations: Path) -> str:
    """The format of one split's annotations, a json file or a folder.

    Raises:
        ValueError: it can't be determined.
    """
    if annotations.is_dir():
        detected = _format_of_folder(annotations)
    else:
        detected = _format_of_json(coco.read_json(annotations))
    if not detected:
        raise ValueError(f"annotations={annotations}: the format can't be determined. Give it: {', '.join(READERS)}")
    return detected


def _format_of_json(content: object) -> str | None:
    if via.entries(content) is not None:
        return "via"
    if isinstance(content, dict) and {"images", "annotations", "categories"} <= content.keys():
        return "coco_panoptic" if any("segments_info" in entry for entry in content["annotations"][:1]) else "coco_instances"
    return None


def _format_of_folder(folder: Path) -> str | None:
    names = [path.name for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    if any(name.endswith(f"{cityscapes.LABEL_END}.png") for name in names):
        return "cityscapes"
    if names and all(re.fullmatch(r"ADE_(train|val)_\d+\.png", name) for name in names):
        return "ade20k_semantic"
    if any(name.endswith(".txt") and name.lower() not in NOTES for name in names):
        return "yolo"
    return "masks" if any(name.lower().endswith(masks.MASK_SUFFIXES) for name in names) else None


def find_splits(folder: str | Path, chosen: str | None = None) -> list[Split]:
    """The splits of a dataset in one of the layouts that its makers, or exporting tools, give it.

    Args:
        folder: of the dataset.
        chosen: a format, where the folder has annotations of several.

    Raises:
        ValueError: the folder isn't there, has no known layout, or annotations of several formats.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"source={folder}: no such folder.")
    splits = list(dict.fromkeys(split for split in _all_splits(folder) if chosen in (None, split.format)))
    formats = sorted({split.format for split in splits})
    if not splits:
        wanted = f" of the format {chosen}" if chosen else ""
        raise ValueError(
            f"source={folder} has no layout known here{wanted}. Give images and annotations, or one of these:\n{KNOWN}"
        )
    if len(formats) > 1:
        raise ValueError(f"source={folder} has annotations of the formats {', '.join(formats)}. Choose one by format.")
    return splits


def _all_splits(folder: Path) -> Iterator[Split]:
    yield from _pairs("cityscapes", folder / "leftImg8bit", folder / "gtFine", only=("train", "val"))  # test has no labels
    scenes = list(_pairs("ade20k_semantic", folder / "images", folder / "annotations", only=SPLIT_NAMES))
    scenes = [split for split in scenes if _format_of_folder(split.annotations) == "ade20k_semantic"]
    yield from scenes
    if (folder / ade20k.INSTANCES).is_dir():
        yield from (Split(split.name, "ade20k_panoptic", split.images, split.annotations) for split in scenes)
    yield from _coco_splits(folder)
    if not scenes:
        for name, form in (("labels", "yolo"), ("masks", "masks"), ("labels", "masks"), ("annotations", "masks")):
            yield from _folder_splits(folder, name, form)
    for path in sorted([*folder.glob("*.json"), *folder.glob("*/*.json")]):
        if path.stem.startswith("via") and via.entries(coco.read_json(path)) is not None:
            yield Split(_split_name(path.parent.name) if path.parent != folder else "train", "via", path.parent, path)


def _pairs(form: str, images: Path, annotations: Path, only: object = None) -> Iterator[Split]:
    """Subfolders of the same name."""
    for subfolder in sorted(annotations.glob("*")):
        if subfolder.is_dir() and (images / subfolder.name).is_dir() and (only is None or subfolder.name in only):
            yield Split(_split_name(subfolder.name), form, images / subfolder.name, subfolder)


def _folder_splits(folder: Path, name: str, form: str) -> Iterator[Split]:
    """images/train and masks/train, train/images and train/masks, or images and masks."""
    pairs = list(_pairs(form, folder / "images", folder / name))
    pairs += [
        Split(_split_name(labelled.parent.name), form, labelled.parent / "images", labelled)
        for labelled in sorted(folder.glob(f"*/{name}"))
        if (labelled.parent / "images").is_dir()
    ]
    if not pairs and (folder / name).is_dir() and (folder / "images").is_dir():
        pairs = [Split("train", form, folder / "images", folder / name)]
    yield from (split for split in pairs if _format_of_folder(split.annotations) == form)


def _coco_splits(folder: Path) -> Iterator[Split]:
    for path in sorted([*folder.glob("*.json"), *folder.glob("annotations/*.json")]):
        if match := re.fullmatch(r"(panoptic|instances)_(\w+)", path.stem):
            photos = next(
                (candidate for candidate in (folder / match[2], folder / "images" / match[2]) if candidate.is_dir()), None
            )
            if photos is not None:
                yield Split(_split_name(match[2]), f"coco_{match[1]}", photos, path)
    for path in sorted(folder.glob("*/_annotations.coco.json")):
        yield Split(_split_name(path.parent.name), "coco_instances", path.parent, path)


def _split_name(name: str) -> str:
    """`train` for train2017 and training, `val` for validation and valid."""
    bare = re.sub(r"^(train|val|test)\d+$", r"\1", name)
    return SPLIT_NAMES.get(bare, bare)
