"""YOLO's polygons: a text file for each image, and in it a line for each segment.

A line has the class index, and x and y of each vertex as shares of width and height. An image without a text file has no segment.
The names of the classes are those in `--classes`, or those of the dataset's `data.yaml`, `obj.data` or `classes.txt`. Images are a
folder, or a text file that lists them, or several of both. Those of a list or of several folders have their text files by
Ultralytics' rule, or else by their stems.

Shapes: H, W pixels.
"""

import math
from pathlib import Path

from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.formats.annotation_frames import frame_of
from eomt.train_scripts.data.formats.annotation_notes import AnnotationNotes, BadAnnotation
from eomt.train_scripts.data.formats.annotation_rows import Segment, row_of_annotations
from eomt.train_scripts.data.formats.image_files import common_folder, files_below, images_by_stem, stem_below
from eomt.train_scripts.data.formats.polygons import polygon_mask
from eomt.train_scripts.data.formats.source import Options, Source, thing_labels
from eomt.train_scripts.data.formats.yolo_data import class_names, label_folder, listed_images
from eomt.train_scripts.data.formats.yolo_layouts import is_label

Item = tuple[str, Path, Path | None]  # id and file of an image, and its text file


def read(images: Path, annotations: Path, options: Options) -> Source:
    """
    Raises:
        ValueError: a folder is missing or empty, or there are no names.
    """
    places = list(map(Path, options.image_folders)) or [images]
    is_folder = len(places) == 1 and images.suffix.lower() != ".txt"
    if is_folder:
        folder, photos = images, images_by_stem(images)
    else:
        files = [file for place in places for file in (files_below(place) if place.is_dir() else listed_images(place))]
        folder = common_folder(file.parent for file in files)
        photos = {stem_below(file, folder): file for file in files}
    texts = {stem_below(path, annotations): path for path in files_below(annotations, (".txt",), "annotations")}
    lost = [texts[stem] for stem in sorted(texts.keys() - photos.keys()) if is_folder and is_label(texts[stem])]
    problems = [f"{text} has no image of the same stem in {images}. Take it away." for text in lost]
    texts |= {} if is_folder else _texts_by_rule(photos, annotations)
    labels = thing_labels(options.classes or class_names(folder, annotations), options.stuff)
    items = [(stem, photo, texts.get(stem)) for stem, photo in photos.items()]

    def files_of(item: Item) -> list[Path]:
        return [path for path in item[1:] if path]

    return Source(labels, items, lambda item: _row(*item, len(labels), options), files_of, problems=problems)


def _texts_by_rule(photos: dict[str, Path], annotations: Path) -> dict[str, Path]:
    """{stem: text file by Ultralytics' rule} of the photos that have one below `annotations`."""
    homes = {home: label_folder(home) for home in {photo.parent for photo in photos.values()}}
    texts = {stem: homes[photo.parent] / f"{photo.stem}.txt" for stem, photo in photos.items()}
    top = annotations.resolve()
    return {stem: text for stem, text in texts.items() if text.is_file() and text.resolve().is_relative_to(top)}


def _row(stem: str, photo: Path, text: Path | None, num_classes: int, options: Options) -> dict:
    notes = AnnotationNotes()
    frame = frame_of(photo, None, options.mask_orientation, notes)
    try:
        lines = text.read_text(encoding="utf-8-sig").splitlines() if text else []
    except UnicodeDecodeError:
        raise BadSample(f"{text} is not text in UTF-8. Export it again.") from None

    def segment(numbered: tuple[int, str]) -> Segment:
        name = f"{text}, line {numbered[0]}"
        category, shares = _numbers(numbered[1], num_classes, name)
        height, width = frame.size
        polygon = [share * (height if index % 2 else width) for index, share in enumerate(shares)]
        return polygon_mask([polygon], frame.size, name, notes), category, False

    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    return row_of_annotations(stem, photo, frame, numbered, segment, notes)


def _numbers(line: str, num_classes: int, name: str) -> tuple[int, list[float]]:
    """The class and the shares of a line."""
    try:
        category, *shares = (float(word) for word in line.split())
    except ValueError:
        message = f"{name}: {line[:60]!r} are not numbers. A line is a class index and x, y of each vertex."
        raise BadAnnotation(message, "that are no numbers") from None
    if len(shares) == 4:
        message = f"{name} has a box, not a polygon. Segmentation takes polygons; export them, or take the line away."
        raise BadAnnotation(message, "without a polygon")
    if not math.isfinite(category) or category != int(category) or not 0 <= category < num_classes:
        message = f"{name} has the class {category:g}; allowed are 0..{num_classes - 1}, by the names."
        raise BadAnnotation(message, "of classes without a name")
    if any(not -0.5 <= share <= 1.5 for share in shares):
        outside = max(shares, key=abs)
        message = f"{name} has vertices outside the image, at {outside:g}: they must be shares, not pixels."
        raise BadAnnotation(message, "polygons outside their image")
    return int(category), shares
