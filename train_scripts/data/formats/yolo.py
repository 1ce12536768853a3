"""YOLO's polygons: a text file for each image, and in it a line for each segment.

A line has the class index, and x and y of each vertex as shares of width and height. An image without a text file has no segment.
The names of the classes are those in `--classes`, or the `names` in the nearest `*.yaml` above the text files.

Shapes: H, W pixels.
"""

from pathlib import Path

import yaml

from eomt.train_scripts.data.formats.image_files import image_size, images_by_stem
from eomt.train_scripts.data.formats.polygons import polygon_mask
from eomt.train_scripts.data.formats.segment_rows import row_of_masks
from eomt.train_scripts.data.formats.source import Options, Source, thing_labels
from eomt.train_scripts.data.samples import BadSample


def read(images: Path, annotations: Path, options: Options) -> Source:
    """
    Raises:
        ValueError: a folder is missing or empty, or there are no names.
    """
    photos = images_by_stem(images)
    texts = images_by_stem(annotations, (".txt",), "annotations")
    texts.pop("classes", None)  # a list of names that some tools leave there
    problems = [
        f"{texts[stem]} has no image of the same stem in {images}. Take it away." for stem in sorted(texts.keys() - photos.keys())
    ]
    labels = thing_labels(options.classes or _names_above(annotations), options.stuff)
    items = [(stem, photo, texts.get(stem)) for stem, photo in photos.items()]
    return Source(
        labels, items, lambda item: _row(*item, len(labels)), lambda item: [path for path in item[1:] if path], problems=problems
    )


def _names_above(folder: Path) -> list[str]:
    """The names in the nearest yaml file that has some, in the folder or up to three above it.

    Raises:
        ValueError: there is none, or its names are numbered with gaps.
    """
    for above in (folder, *folder.resolve().parents[:3]):
        for path in sorted([*above.glob("*.yaml"), *above.glob("*.yml")]):
            content = yaml.safe_load(path.read_text())
            names = content.get("names") if isinstance(content, dict) else None
            if names:
                return _by_index(names, path) if isinstance(names, dict) else list(map(str, names))
    raise ValueError(
        f"{folder}: no yaml file there or above has `names`; give the classes in the order of their indices, by classes"
    )


def _by_index(names: dict, path: Path) -> list[str]:
    """Names of a mapping whose keys are the indices, as numbers or text."""
    by_index = {str(key): str(name) for key, name in names.items()}
    indices = list(map(str, range(len(names))))
    if by_index.keys() != set(indices):
        raise ValueError(f"{path}: the keys of names are {list(names)}, but must be 0..{len(names) - 1}, the indices in the labels")
    return [by_index[index] for index in indices]


def _row(stem: str, photo: Path, text: Path | None, num_classes: int) -> dict:
    height, width = size = image_size(photo)
    masks, categories = [], []
    for number, line in enumerate(text.read_text(encoding="utf-8-sig").splitlines() if text else (), 1):
        if not line.strip():
            continue
        name = f"{text}, line {number}"
        try:
            category, *shares = (float(word) for word in line.split())
        except ValueError:
            raise BadSample(f"{name}: {line[:60]!r} are not numbers. A line is a class index and x, y of each vertex.") from None
        if len(shares) == 4:
            raise BadSample(f"{name} has a box, not a polygon. Segmentation takes polygons; export them, or take the line away.")
        if category != int(category) or not 0 <= category < num_classes:
            raise BadSample(f"{name} has the class {category:g}; allowed are 0..{num_classes - 1}, by the names.")
        if any(not -0.5 <= share <= 1.5 for share in shares):
            raise BadSample(f"{name} has vertices outside the image, at {max(shares, key=abs):g}: they must be shares, not pixels.")
        polygon = [share * (height if index % 2 else width) for index, share in enumerate(shares)]
        masks.append(polygon_mask([polygon], size, name))
        categories.append(int(category))
    return row_of_masks(stem, photo, size, masks, categories, [False] * len(masks))
