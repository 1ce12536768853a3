"""The splits of a dataset whose annotations are json files, whatever their names: which form each has, and where its images lie.

The folder of the images is the one of those near the json that has the files that the json names. The split is named by the json,
by its folder or by the folder of the images, where one of them has the name of a split; else it is `train`.
"""

import re
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from eomt.train_scripts.data.formats import label_studio, labelme, via
from eomt.train_scripts.data.formats.annotation_files import name_ends, read_json
from eomt.train_scripts.data.formats.annotation_notes import form_fault
from eomt.train_scripts.data.formats.image_files import common_folder, is_hidden, walk
from eomt.train_scripts.data.formats.mask_layouts import SPLIT_FOLDERS, split_name
from eomt.train_scripts.data.formats.split import Split

FEW = 10  # json files in a folder; more of them are one for each image, of which some are looked at
NAMES_TRIED = 20
MOST_FOLDERS = 200


def format_of_json(content: object) -> str | None:
    """The format of the content of a json file; None if it isn't known."""
    if labelme.is_labelme(content):
        return "labelme"
    if label_studio.is_label_studio(content):
        return "label_studio"
    if via.is_via(content):
        return "via"
    if isinstance(content, dict) and {"images", "annotations", "categories"} <= content.keys():
        entries = content["annotations"][:1] if isinstance(content["annotations"], list) else []
        has_segments = any(isinstance(entry, dict) and "segments_info" in entry for entry in entries)
        return "coco_panoptic" if has_segments else "coco_instances"
    return None


def has_labelme(folder: Path) -> bool:
    """Whether the first json files below a folder are LabelMe's."""
    files = (path for path in walk(folder) if path.suffix == ".json")
    return any(_format_or_none(path) == "labelme" for path in islice(files, 3))


def json_splits(folder: Path) -> list[Split]:
    """The splits of a dataset's folder; none if no json file there has a form that is known.

    Raises:
        ValueError: two files are of one split.
    """
    files = [path for pattern in ("*.json", "*/*.json", "*/*/*.json") for path in sorted(folder.glob(pattern))]
    files = [path for path in files if not is_hidden(path.relative_to(folder))]
    homes: dict[Path, list[Path]] = {}
    for path in files:
        homes.setdefault(path.parent, []).append(path)
    splits, labelled = [], []
    for home, inside in homes.items():
        if any(_format_or_none(path) == "labelme" for path in inside[:3]):
            labelled.append(home)
        elif len(inside) <= FEW:
            splits += [split for path in inside if (split := _split_of(path, folder))]
    splits += _labelme_splits(labelled, folder)
    _check_one_each(splits, folder)
    return splits


def _format_or_none(path: Path) -> str | None:
    try:
        return format_of_json(read_json(path))
    except ValueError:  # a stray file that is no json
        return None


def _split_of(path: Path, folder: Path) -> Split | None:
    form = _format_or_none(path)
    try:
        names = form and _image_names(read_json(path), form)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"annotations={path} has not the form of {form}: {form_fault(error)}. Export it again") from error
    images = names and _image_folder(names[:NAMES_TRIED], path, folder)
    return Split(_name_of(path, images, folder), form, images, path) if images else None


def _image_names(content: object, form: str) -> list[list[str]]:
    """The names that each image of a json may have, as the json writes them."""
    if form == "via":
        return [[str(entry.get("filename"))] for entry in via.entries(content).values()]
    if form == "label_studio":
        return [names for task in content if (names := label_studio.image_names(task))]
    entries = [entry for entry in content["images"] if isinstance(entry, dict)]
    names = [entry.get(key) for entry in entries for key in ("file_name", "coco_url", "path") if entry.get(key)]
    return [[name] for name in names if isinstance(name, str)]


def _image_folder(names: list[list[str]], path: Path, folder: Path) -> Path | None:
    """The folder that has the images; None if none has, or two have that are equally likely."""
    near = [path.parent, path.parent / "images", folder / "images", folder]
    split = _split_word(path.stem) or _split_word(path.parent.name)
    below = [inner for inner in sorted(folder.glob("*")) + sorted(folder.glob("*/*")) if inner.is_dir()][:MOST_FOLDERS]
    of_split = [inner for inner in below if split and split in map(_split_word, inner.relative_to(folder).parts)]
    for candidates in (of_split, near, [inner for inner in below if inner not in near]):
        fitting = [inner for inner in dict.fromkeys(candidates) if _has_all(inner, names)]
        whole = [inner for inner in fitting if not any(inner in other.parents for other in fitting)]  # the deepest
        if len(whole) == 1 or whole and candidates is near:
            return whole[0]
    return None


def _has_all(folder: Path, names: Iterable[list[str]]) -> bool:
    """Whether a folder has a file for most of the images, since some may be missing, which is said of each."""
    hits = [any((folder / end).is_file() for name in each for end in name_ends(name)) for each in names]
    return sum(hits) * 2 > len(hits)


def _name_of(path: Path, images: Path, folder: Path) -> str:
    homes = [part for place in (path.parent, images) if place != folder for part in place.relative_to(folder).parts[::-1]]
    word = next((word for text in (path.stem, *homes) if (word := _split_word(text))), None)
    return word or "train"


def _split_word(text: str) -> str | None:
    """The split in a name such as `lvis_v1_train`, `train2017` or `valid`."""
    words = re.findall(r"[a-z]+", text.lower())
    return next((split_name(word) for word in words if word in SPLIT_FOLDERS and word != "default"), None)


def _labelme_splits(homes: list[Path], folder: Path) -> list[Split]:
    """A split for each folder of LabelMe's files that has the name of a split; one for all others."""
    by_name: dict[str, list[Path]] = {}
    for home in homes:
        by_name.setdefault(_name_of(home / "any.json", home, folder), []).append(home)
    return [Split(name, "labelme", *_labelme_folders(common_folder(inner), folder)) for name, inner in by_name.items()]


def _labelme_folders(home: Path, folder: Path) -> tuple[Path, Path]:
    """Of images and of annotations, which lie in `home`. Images lie there, too, or else in `images` beside it."""
    beside = (home.parent / "images", home.parent / "imgs")
    images = next((inner for inner in beside if home != folder and inner.is_dir()), home)
    return images, home


def _check_one_each(splits: list[Split], folder: Path) -> None:
    by_name: dict[str, Split] = {}
    for split in splits:
        other = by_name.setdefault(split.name, split)
        if other is not split:
            raise ValueError(
                f"source={folder} has annotations of the split {split.name!r} in {other.annotations} and in {split.annotations}. "
                f"Prepare one of them: --images {split.images} --annotations {split.annotations}"
            )
