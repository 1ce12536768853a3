"""The file that says what a YOLO dataset holds: Ultralytics' `data.yaml` or darknet's `obj.data`, with the names of the classes and
the images of each split, as folders or as text files that list them.

Its paths are seldom those of this machine. An entry is looked for below `path`, then beside the file, with and without the folders
that lead to the dataset on the machine that wrote it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from eomt.train_scripts.data.formats.annotation_files import name_ends

SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}  # key -> split
NAME_FILES = ("classes.txt", "classes.names", "obj.names", "_darknet.labels", "labels.txt", "predefined_classes.txt")
YAML_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class DataFile:
    """
    Args:
        path: of the file.
        names: of the classes, by index.
        splits: {split: folders of images, or text files that list them}, of which all are there.
        is_elsewhere: whether it has splits, and none of them is there.
    """

    path: Path
    names: list[str]
    splits: dict[str, list[Path]]
    is_elsewhere: bool

    def leads_to(self, images: Path) -> bool:
        """Whether one of its splits is, holds or is in a folder of images, or lists one of its images."""
        places = [_place(path) for paths in self.splits.values() for path in paths]
        here = images.resolve()
        return any(place and (place == here or place in here.parents or here in place.parents) for place in places)


def read_data_file(path: Path) -> DataFile | None:
    """The content of such a file; None if it is another one, or can't be read.

    Raises:
        ValueError: its names can't be understood.
    """
    content = _content(path)
    if content is None or "names" not in content:
        return None
    bases = _bases(path, content)
    entries = {SPLITS[key]: value for key, value in content.items() if key in SPLITS and value not in (None, "", [])}
    splits = {}
    for name, value in entries.items():
        paths = [_resolved(str(entry), bases) for entry in (value if isinstance(value, list) else [value])]
        if all(paths):
            splits[name] = [entry for entry in paths if entry]
    return DataFile(path, _names(content["names"], path), splits, bool(entries) and not splits)


def data_files(folder: Path) -> list[Path]:
    """The files in a folder that may be one."""
    return sorted(path for pattern in ("*.yaml", "*.yml", "*.data") for path in folder.glob(pattern) if path.is_file())


def listed_images(path: Path) -> list[Path]:
    """The images that a text file lists, as they lie here.

    Raises:
        ValueError: it lists none, or one isn't there.
    """
    lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    files = [_resolved(line, [path.parent, path.parent.parent], shortest=1) for line in lines]
    if not lines or None in files:
        missing = lines[files.index(None)] if lines else "nothing"
        raise ValueError(f"images={path} lists {missing}, which is no file below {path.parent}. Write paths relative to the list")
    return [file for file in files if file]


def label_folder(images: Path) -> Path:
    """The folder of the labels by Ultralytics' rule: `labels` in place of the last `images` of the path, or beside the images."""
    parts = list(images.parts)
    if "images" in parts:
        position = len(parts) - 1 - parts[::-1].index("images")
        labels = Path(*parts[:position], "labels", *parts[position + 1 :])
        if labels.is_dir():
            return labels
    beside = images.parent / "labels"
    return beside if images.name == "images" and beside.is_dir() else images


def class_names(images: Path, annotations: Path) -> list[str]:
    """The names of the classes of two folders, by the nearest file that has them and is of this dataset.

    A file in the dataset's folder counts unless its splits lead elsewhere. One above it counts only if they lead here.

    Raises:
        ValueError: there is none, or two disagree.
    """
    homes = _homes(images, annotations)
    above = [parent for parent in homes[-1].parents[:3] if parent not in homes]
    passed_over = []
    for home in (*homes, *above):
        known = []
        for path in data_files(home):
            data = read_data_file(path)
            if data is None:
                if _content(path) is None and home in homes:
                    passed_over.append(f"{path} can't be read")
            elif data.leads_to(images) or home in homes and (data.is_elsewhere or not data.splits):
                known.append(data)
            else:
                passed_over.append(f"the train and val of {path} don't lead here")
        known = [data for data in known if data.leads_to(images)] or known
        if len({tuple(data.names) for data in known}) > 1:
            raise ValueError(
                f"{known[0].path} and {known[1].path} name different classes. Say which are meant: --classes {known[0].path}"
            )
        if known:
            return known[0].names
        for path in (home / name for name in NAME_FILES if home in homes):
            if path.is_file():
                return _listed_names(path)
    reason = f" ({'; '.join(passed_over[:3])})" if passed_over else ""
    raise ValueError(
        f"annotations={annotations}: no yaml file of this dataset has `names`, and no classes.txt lies there{reason}. Give the "
        "names in the order of their indices: --classes cat,dog"
    )


def _homes(images: Path, annotations: Path) -> list[Path]:
    """The folders of a dataset that hold its labels or images, the nearest first."""
    images, annotations = images.resolve(), annotations.resolve()
    root = next(parent for parent in (annotations, *annotations.parents) if parent == images or parent in images.parents)
    roots = [root, root.parent] if root.name in SPLITS or root in (images, annotations) else [root]
    between = [parent for parent in (annotations, *annotations.parents) if root in parent.parents]
    return list(dict.fromkeys([*between, images, *roots]))


def _content(path: Path) -> dict | None:
    """A mapping in which all scalars are text, since `no` and 1 are names; None if the file has none."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".data":
            pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
            return {key.strip(): value.strip() for key, _, value in pairs}
        content = yaml.load(text, yaml.BaseLoader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _names(names: object, path: Path) -> list[str]:
    if isinstance(names, str):
        file = _resolved(names, [path.parent], shortest=1)
        if file and file.is_file():
            return _listed_names(file)
        raise ValueError(
            f"{path}: names is {names!r}, which is neither a list nor a file there. Give the names in the order of their indices: "
            "--classes cat,dog"
        )
    if isinstance(names, dict):
        indices = list(map(str, range(len(names))))
        if names.keys() != set(indices):
            raise ValueError(
                f"{path}: the keys of names are {list(names)}, but classes are counted from 0 and without gaps in the labels. Give "
                "the names in the order of the labels' indices from 0, one for each number: --classes cat,dog"
            )
        return [str(names[index]) for index in indices]
    return [str(name) for name in names] if isinstance(names, list) else []


def _listed_names(path: Path) -> list[str]:
    return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]


def _bases(path: Path, content: dict) -> list[Path]:
    home, stated = path.parent, str(content.get("path") or "")
    candidates = [home / stated, *(home / end for end in name_ends(stated))] if stated else []
    return list(dict.fromkeys([*(base for base in candidates if base.is_dir()), home]))


def _resolved(entry: str, bases: Iterable[Path], shortest: int = 2) -> Path | None:
    """The file or folder of an entry; of its ends those of `shortest` parts at least are tried, and the whole of it."""
    ends = name_ends(entry)
    tried = [end for end in ends if end.count("/") + 1 >= shortest or end == ends[0]]
    for base in bases:
        for candidate in (base / entry, *(base / end for end in tried)):
            if candidate.exists():
                return candidate.resolve()
    return None


def _place(path: Path) -> Path | None:
    """The folder that a split's entry leads to."""
    if path.is_dir():
        return path
    try:
        return listed_images(path)[0].parent
    except (ValueError, UnicodeDecodeError):
        return None
