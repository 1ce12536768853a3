"""The splits of a YOLO dataset: those of its `data.yaml` or `obj.data` where they are there, and those that its folders show.

- images/train and labels/train; train/images and train/labels; or images and labels
- images and text files in one folder, as darknet has them
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from eomt.train_scripts.data.formats.image_files import IMAGE_SUFFIXES, common_folder, is_hidden, walk
from eomt.train_scripts.data.formats.mask_layouts import SPLIT_FOLDERS, split_name
from eomt.train_scripts.data.formats.split import Split
from eomt.train_scripts.data.formats.yolo_data import DataFile, data_files, label_folder, listed_images, read_data_file

LOOKED_AT = 50  # files of a folder


def data_file_splits(path: Path) -> list[Split]:
    """The splits of a data.yaml.

    Raises:
        ValueError: it has no names, or its splits aren't there.
    """
    data = read_data_file(path)
    if data is None:
        raise ValueError(f"source={path} can't be read as YOLO's data file, a mapping with `names`, `train` and `val`.")
    splits = list(_splits_of(data))
    if not splits:
        raise ValueError(
            f"source={path}: its train and val lead to no folder with labels here. Write them relative to {path.parent}, or "
            "give the folder of the dataset by --source"
        )
    return splits


def yolo_splits(folder: Path) -> list[Split]:
    """The splits of a dataset's folder; none if it has no such layout.

    Raises:
        ValueError: two data files have other splits.
    """
    listed: list[Split] = []
    for path in data_files(folder):
        data = _data_or_none(path)
        splits = list(_splits_of(data)) if data else []
        if splits and listed and splits != listed:
            raise ValueError(f"source={folder} has several data files with other splits. Choose one: --source {path}")
        listed = splits or listed
    names = {split.name for split in listed}
    images = {place.resolve() for split in listed for place in split.image_places}
    by_folders = list(_folder_splits(folder)) or list(_beside_splits(folder))
    if any(place.is_file() for place in images):  # a list leaves images out on purpose
        by_folders = []
    return listed + [split for split in by_folders if split.name not in names and split.images.resolve() not in images]


def is_label(path: Path) -> bool:
    """Whether a text file has lines of numbers, as labels have."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        [float(word) for line in lines[:3] for word in line.split()]
    except (OSError, ValueError):
        return False
    return True


def _data_or_none(path: Path) -> DataFile | None:
    try:
        return read_data_file(path)
    except ValueError:  # said where the names are needed
        return None


def _splits_of(data: DataFile) -> Iterator[Split]:
    for name, paths in data.splits.items():
        places = [_with_images(path) for path in paths]
        homes = {home for place in places for home in _homes(place)}
        labels = common_folder(map(label_folder, homes))
        if any(is_label(path) for path in _some(labels, (".txt",))):
            several = len(places) > 1
            images = common_folder(homes) if several else places[0]
            yield Split(name, "yolo", images, labels, image_folders=tuple(places) if several else ())


def _with_images(path: Path) -> Path:
    """A list or a folder, or the `images` in it, if it has no image itself."""
    inner = path / "images"
    return inner if path.is_dir() and not _has_images(path) and inner.is_dir() else path


def _homes(place: Path) -> set[Path]:
    """The folder itself, or those of the images in a list."""
    return {place} if place.is_dir() else {file.parent for file in listed_images(place)}


def _folder_splits(folder: Path) -> Iterator[Split]:
    images, labels = folder / "images", folder / "labels"
    pairs = [(inner.name, images / inner.name, inner) for inner in _folders(labels) if (images / inner.name).is_dir()]
    pairs += [(inner.name, inner / "images", inner / "labels") for inner in _folders(folder)]
    pairs = pairs if any(_is_labelled(*pair[1:]) for pair in pairs) else [("train", images, labels)]
    yield from (Split(split_name(name), "yolo", photos, texts) for name, photos, texts in pairs if _is_labelled(photos, texts))


def _is_labelled(images: Path, labels: Path) -> bool:
    return (
        images.is_dir() and labels.is_dir() and any(path.stem != "classes" and is_label(path) for path in _some(labels, (".txt",)))
    )


def _beside_splits(folder: Path) -> Iterator[Split]:
    for home in (folder, *_folders(folder)):
        photos = _some(home, IMAGE_SUFFIXES, deep=False)
        texts = [path.with_suffix(".txt") for path in photos if path.with_suffix(".txt").is_file()]
        if texts and all(map(is_label, texts)):
            words = [split_name(word) for word in home.name.lower().split("_")] if home != folder else []
            yield Split(next((word for word in words if word in SPLIT_FOLDERS), "train"), "yolo", home, home)


def _has_images(folder: Path) -> bool:
    return bool(_some(folder, IMAGE_SUFFIXES, deep=False))


def _some(folder: Path, suffixes: tuple[str, ...], deep: bool = True) -> list[Path]:
    """The first files of a folder that have one of the suffixes."""
    paths = (
        walk(folder) if deep else (path for path in sorted(folder.glob("*")) if path.is_file() and not is_hidden(Path(path.name)))
    )
    return list(islice((path for path in paths if path.suffix.lower() in suffixes), LOOKED_AT))


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.is_dir() and not is_hidden(Path(path.name)))
