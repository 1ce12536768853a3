"""Detection of the format of annotations, and of the splits of a dataset by its folders and files."""

import re
from collections.abc import Container, Iterator
from dataclasses import replace
from pathlib import Path

from eomt.train_scripts.data.formats import ade20k, cityscapes, panoptic_masks, via
from eomt.train_scripts.data.formats.annotation_files import read_json
from eomt.train_scripts.data.formats.archives import only_entry
from eomt.train_scripts.data.formats.converters import BOXES, UNKNOWN, advice_for, advice_for_layout
from eomt.train_scripts.data.formats.hub_rows import is_hub_folder, names_labels, open_splits
from eomt.train_scripts.data.formats.image_files import walk
from eomt.train_scripts.data.formats.index_images import LOSSY_SUFFIXES, MASK_SUFFIXES
from eomt.train_scripts.data.formats.json_layouts import format_of_json, has_labelme, json_splits
from eomt.train_scripts.data.formats.mask_layouts import SPLIT_FOLDERS, mask_splits, split_name
from eomt.train_scripts.data.formats.object_masks import folders_of_images
from eomt.train_scripts.data.formats.readers import READERS
from eomt.train_scripts.data.formats.split import Split
from eomt.train_scripts.data.formats.yolo_data import YAML_SUFFIXES
from eomt.train_scripts.data.formats.yolo_layouts import data_file_splits, yolo_splits

# text files that several tools leave beside annotations that are no text
NOTES = ("classes.txt", "readme.txt", "labels.txt", "labelmap.txt", "class_names.txt", "label_names.txt", "codes.txt")
ADE20K_SPLITS = ("training", "validation")
# the layouts that `find_splits` knows, as its error message lists them
KNOWN = """\
    coco_panoptic    annotations/panoptic_train2017.json with the folder of its PNGs, and train2017
    coco_instances   annotations/instances_train2017.json and train2017; or train/_annotations.coco.json among its images
    cityscapes       leftImg8bit/train and gtFine/train
    ade20k_semantic  images/training and annotations/training
    ade20k_panoptic  the same and annotations_instance/training
    coco_instances   any json of COCO's form, or LVIS', beside a folder of the images that it names
    yolo             images/train and labels/train, or train/images and train/labels, and data.yaml or classes.txt
    yolo             a data.yaml whose train and val lead to folders, or to text files of images; text files beside images
    via              train/via_region_data.json among its images; a project of VIA 2 or 3 beside its images
    labelme          a json of LabelMe beside each image, in one folder or in train and val
    label_studio     the json that Label Studio exports, beside a folder of the images
    masks            images and masks, or images/train and masks/train, or train/images and train/masks
    masks            train and train_masks; imagesTr and labelsTr; or train/a.jpg and train/a_mask.png
    masks            JPEGImages, SegmentationClass and ImageSets/Segmentation/train.txt
    masks            a/images/a.png and a/masks/*.png, a mask for each object
    panoptic_masks   images, masks and instances; or the same with train below or above
    datasets         what `datasets` reads: parquet files, images with a metadata.jsonl, or what save_to_disk leaves"""


def detect_format(annotations: Path) -> str:
    """The format of one split's annotations, a json file or a folder.

    Raises:
        ValueError: it can't be determined, or the file is missing or broken.
    """
    is_folder, is_mask = annotations.is_dir(), annotations.suffix.lower() in (*MASK_SUFFIXES, *LOSSY_SUFFIXES)
    detected = _format_of_folder(annotations) if is_folder else "masks" if is_mask else format_of_json(read_json(annotations))
    if detected == "labelme" and not is_folder:
        raise ValueError(
            f"annotations={annotations} is LabelMe's json of one image. Give the folder of all of them: --annotations "
            f"{annotations.parent}"
        )
    if not detected and (advice := advice_for(annotations) or _advice_above(annotations)):
        raise ValueError(f"annotations={annotations} {advice}")
    if not detected:
        raise ValueError(f"annotations={annotations}: the format can't be determined. Give it: {', '.join(READERS)}")
    return detected


def _advice_above(annotations: Path) -> str | None:
    return next((advice for above in annotations.parents[:2] if (advice := advice_for_layout(above))), None)


def _format_of_folder(folder: Path) -> str | None:
    names = [path.name for path in walk(folder)]
    if any(name.endswith((f"{cityscapes.LABEL_END}.png", f"{cityscapes.TRAIN_END}.png")) for name in names):
        return "cityscapes"
    if names and all(re.fullmatch(r"ADE_(train|val)_\d+\.png", name) for name in names):
        return "ade20k_semantic"
    if any(name.endswith(".txt") and name.lower() not in NOTES for name in names):
        return "yolo"
    if any(name.endswith(".json") for name in names) and has_labelme(folder):
        return "labelme"
    return "masks" if any(name.lower().endswith((*MASK_SUFFIXES, *LOSSY_SUFFIXES)) for name in names) else None


def find_splits(folder: str | Path, chosen: str | None = None) -> list[Split]:
    """The splits of a dataset whose folders and files lie as its makers, or exporting tools, leave them; see `KNOWN`.

    Args:
        folder: of the dataset.
        chosen: the format to look for, if the folder has annotations of several.

    Raises:
        ValueError: the folder doesn't exist, has no known layout, or has annotations of several formats.
    """
    folder = Path(folder)
    if folder.suffix.lower() in YAML_SUFFIXES and folder.is_file():
        return data_file_splits(folder)
    if folder.is_file():
        raise ValueError(
            f"source={folder} is a file, neither a folder nor a zip file. Give --images and --annotations for one image"
        )
    if not folder.is_dir():
        raise ValueError(f"source={folder}: no such folder.")
    folders = _without_wrapping(folder)
    advice = next((advice for inner in reversed(folders) if (advice := advice_for(inner))), None)
    with_masks = advice in (None, BOXES, UNKNOWN)  # masks beside boxes are the segmentation, as in Pascal VOC
    splits = next((splits for inner in folders if (splits := _splits_in(inner, chosen, with_masks))), [])
    formats = sorted({split.format for split in splits})
    if not splits:
        wanted = f" of the format {chosen}" if chosen else ""
        if advice:
            raise ValueError(f"source={folder} {advice}")
        raise ValueError(
            f"source={folder} has no layout known here{wanted}. Give images and annotations, or one of these:\n{KNOWN}"
        )
    if len(formats) > 1:
        raise ValueError(f"source={folder} has annotations of the formats {', '.join(formats)}. Choose one by format.")
    return splits


def _without_wrapping(folder: Path) -> list[Path]:
    """The folder, and before it those in it that hold all of its files, as archives have them; not those of one split."""
    folders = [folder]
    while (inner := only_entry(folders[0])) and inner.is_dir() and split_name(inner.name) not in SPLIT_FOLDERS:
        if folders_of_images(folders[0]):
            break
        folders.insert(0, inner)
    return folders


def _splits_in(folder: Path, chosen: str | None, with_masks: bool) -> list[Split]:
    """The splits of the formats that are known by their layout, then those of masks, then of what `datasets` reads."""
    splits = list(dict.fromkeys(split for split in _all_splits(folder) if chosen in (None, split.format)))
    if not splits:
        splits = [split for split in json_splits(folder) if chosen in (None, split.format)]
    if not splits and chosen in (None, "datasets") and names_labels(folder):
        return dataset_splits(str(folder))
    if not splits and with_masks and chosen in (None, "masks"):
        splits = mask_splits(folder)  # beside other annotations, folders of masks are a part of these
    if not splits and chosen in (None, "datasets") and is_hub_folder(folder):
        splits = dataset_splits(str(folder))
    return splits


def dataset_splits(dataset: str, config: str | None = None, only: str | None = None) -> list[Split]:
    """The splits of a dataset that `datasets` reads.

    Args:
        dataset: a folder, a parquet file, or a name on the Hub.
        config: of a dataset with several.
        only: the name of one split.

    Raises:
        ValueError: there is no such dataset, or no such split.
    """
    names = list(open_splits(dataset, config))
    splits = [Split(split_name(name), "datasets", Path(dataset), Path(name)) for name in names]
    chosen = [split for split in splits if only in (None, split.name, split.annotations.name)]
    if not chosen:
        raise ValueError(f"dataset={dataset} has no split {only!r}, but {names}. Choose one of these by split")
    return chosen


def _all_splits(folder: Path) -> Iterator[Split]:
    yield from _pairs("cityscapes", folder / "leftImg8bit", folder / "gtFine", only=("train", "val"))  # test has no labels
    candidates = _pairs("ade20k_semantic", folder / "images", folder / "annotations", only=ADE20K_SPLITS)
    of_ade20k = [split for split in candidates if _format_of_folder(split.annotations) == "ade20k_semantic"]
    yield from of_ade20k
    if (folder / ade20k.INSTANCES).is_dir():
        yield from (Split(split.name, "ade20k_panoptic", split.images, split.annotations) for split in of_ade20k)
    yield from _coco_splits(folder)
    yield from yolo_splits(folder)
    numbered = (replace(split, format="panoptic_masks") for split in _folder_splits(folder, "masks", "masks"))
    yield from (split for split in numbered if panoptic_masks.instances_beside(split.annotations).is_dir())
    for path in sorted([*folder.glob("*.json"), *folder.glob("*/*.json")]):
        if path.stem.startswith("via") and via.is_via(read_json(path)):
            yield Split(split_name(path.parent.name) if path.parent != folder else "train", "via", path.parent, path)


def _pairs(form: str, images: Path, annotations: Path, only: Container[str] | None = None) -> Iterator[Split]:
    """A split for each subfolder that both folders have, or for those of the names in `only`."""
    for subfolder in sorted(annotations.glob("*")):
        if subfolder.is_dir() and (images / subfolder.name).is_dir() and (only is None or subfolder.name in only):
            yield Split(split_name(subfolder.name), form, images / subfolder.name, subfolder)


def _folder_splits(folder: Path, name: str, form: str) -> Iterator[Split]:
    """With `name` "masks": images/train and masks/train, train/images and train/masks, or images and masks."""
    pairs = list(_pairs(form, folder / "images", folder / name))
    pairs += [
        Split(split_name(labelled.parent.name), form, labelled.parent / "images", labelled)
        for labelled in sorted(folder.glob(f"*/{name}"))
        if (labelled.parent / "images").is_dir()
    ]
    if not pairs and (folder / name).is_dir() and (folder / "images").is_dir():
        pairs = [Split("train", form, folder / "images", folder / name)]
    yield from (split for split in pairs if _format_of_folder(split.annotations) == form)


def _coco_splits(folder: Path) -> Iterator[Split]:
    for path in sorted([*folder.glob("*.json"), *folder.glob("annotations/*.json")]):
        if match := re.fullmatch(r"(panoptic|instances)_(\w+)", path.stem):
            candidates = [folder / "images" / match[2], folder / match[2]]
            if images := [candidate for candidate in candidates if candidate.is_dir() and candidate != path.parent]:
                # CVAT calls its subset default, and Datumaro that of CVAT's annotations.xml annotations
                name = {"default": "default", "annotations": "train"}.get(match[2]) or split_name(match[2])
                yield Split(name, f"coco_{match[1]}", images[0], path)
    for path in sorted([*folder.glob("_annotations.coco.json"), *folder.glob("*/_annotations.coco.json")]):
        yield Split(split_name(path.parent.name) if path.parent != folder else "train", "coco_instances", path.parent, path)
