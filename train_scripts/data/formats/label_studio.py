"""Label Studio's json export: tasks, each of an image, with regions in percent of its size or as brush strokes.

Polygons, brushes, rectangles and ellipses are read. Keypoints, choices and other regions without an area are counted. Of several
annotations of a task the last one that wasn't cancelled is taken.

Shapes: H, W pixels.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from eomt.train_scripts.data.formats.annotation_files import NamedImages, check_images_differ, read_json
from eomt.train_scripts.data.formats.annotation_frames import frame_of, stated_size
from eomt.train_scripts.data.formats.annotation_notes import AnnotationNotes, BadAnnotation
from eomt.train_scripts.data.formats.annotation_rows import Segment, row_of_annotations
from eomt.train_scripts.data.formats.brush_strokes import decode_brush
from eomt.train_scripts.data.formats.image_files import IMAGE_SUFFIXES
from eomt.train_scripts.data.formats.outlines import ellipse, rectangle
from eomt.train_scripts.data.formats.polygons import polygon_mask
from eomt.train_scripts.data.formats.source import Options, Source, thing_labels

UPLOADED = re.compile(r"[0-9a-f]{8}-(?=.)")  # Label Studio puts it before the name of a file that is uploaded
AREAS = ({"points"}, {"rle"}, {"width", "height"}, {"radiusX", "radiusY"})  # what a region with an area has
Item = tuple[str, Path, int, list[dict]]  # id and file of an image, its task and the regions with an area


def is_label_studio(content: object) -> bool:
    """Whether the content of a json file is Label Studio's export, its full or its short form."""
    if not isinstance(content, list) or not all(isinstance(task, dict) for task in content):
        return False
    return any(_is_full(task) or _is_short(task) for task in content[:20])


def _is_full(task: dict) -> bool:
    return isinstance(task.get("data"), dict) and isinstance(task.get("annotations", task.get("completions")), list)


def _is_short(task: dict) -> bool:
    lists = (value for value in task.values() if isinstance(value, list))
    return any(isinstance(value, dict) and "original_width" in value for values in lists for value in values[:1])


def image_names(task: dict) -> list[str]:
    """The names that the image of a task may have, the likeliest first."""
    data = task["data"] if isinstance(task.get("data"), dict) else task
    texts = [value for value in (task.get("file_upload"), *data.values()) if isinstance(value, str)]
    names = [text for text in texts if text.split("?")[-1].lower().endswith(IMAGE_SUFFIXES) or "/" in text]
    return names + [f"{head}{UPLOADED.sub('', base)}" for head, base in map(_parted, names) if UPLOADED.match(base)]


def read(images: Path, annotations: Path, options: Options) -> Source:
    """
    Raises:
        ValueError: the file is missing or of another form, or two tasks are of one image.
    """
    content, notes = read_json(annotations), AnnotationNotes()
    if not is_label_studio(content):
        raise ValueError(f"annotations={annotations} is not Label Studio's form: tasks with `data` and `annotations`")
    folder, items = NamedImages(images), []
    for number, task in enumerate(content):
        named = [folder.named(name, annotations) for name in image_names(task)]
        if not named:
            raise ValueError(f"annotations={annotations}: task {number} names no image in its `data`. Export it again")
        image_id, file = next((entry for entry in named if entry[1].is_file()), named[0])
        items.append((image_id, file, task.get("id", number), list(_regions(task, notes))))
    check_images_differ([item[:2] for item in items], annotations)
    found = dict.fromkeys(name for item in items for region in item[3] if (name := _label_of(region)))
    if options.classes and (unknown := [name for name in found if name not in options.classes]):
        raise ValueError(f"classes={options.classes} lacks the labels {unknown[:10]} of {annotations}. Add them, or give none")
    labels = thing_labels(options.classes or list(found), options.stuff)
    return Source(labels, items, lambda item: _row(*item, labels.names, options), lambda item: [item[1]], notes=notes)


def _parted(name: str) -> tuple[str, str]:
    head, slash, base = name.rpartition("/")
    return head + slash, base


def _regions(task: dict, notes: AnnotationNotes) -> Iterator[dict]:
    """The regions of a task's annotation that have an area, as `value`, its size and kind."""
    if not _is_full(task):
        for key, values in task.items():
            if isinstance(values, list) and values and isinstance(values[0], dict):
                yield from (region for value in values if (region := _region({"id": key, "value": value, **value}, notes)))
        return
    entries = [entry for entry in task.get("annotations", task.get("completions")) if not entry.get("was_cancelled")]
    notes.repaired["annotations of a task were passed over for a later one"] += max(0, len(entries) - 1)
    last = max(entries, key=lambda entry: str(entry.get("updated_at") or entry.get("created_at") or ""), default={"result": []})
    labels = {}  # of regions whose label is an entry of its own
    for result in last["result"]:
        if name := _label_of(result):
            labels.setdefault(result.get("id"), name)
    for result in last["result"]:
        if region := _region(result, notes):
            yield region if _label_of(region) else {**region, "label": labels.get(result.get("id"))}


def _region(result: dict, notes: AnnotationNotes) -> dict | None:
    value = result.get("value")
    if not isinstance(value, dict) or not any(keys <= value.keys() for keys in AREAS):
        if str(result.get("type")) != "labels":
            notes.repaired[f"regions of the type {result.get('type')}, which has no area, were passed over"] += 1
        return None
    if str(result.get("type")) == "labels":  # the same shape once more, with its label
        return None
    return {**result, "value": value}


def _label_of(region: dict) -> str | None:
    if region.get("label"):
        return region["label"]
    value = region.get("value")
    for key, names in value.items() if isinstance(value, dict) else ():
        if key.endswith("labels") and isinstance(names, list) and names:
            return str(names[0])
    return None


def _row(image_id: str, file: Path, task: int, regions: list[dict], names: list[str], options: Options) -> dict:
    notes = AnnotationNotes()
    stated = next((size for region in regions if (size := _size_of(region))), None)
    frame = frame_of(file, stated, options.mask_orientation, notes)

    def segment(region: dict) -> Segment:
        name = f"{file}, task {task}, region {region.get('id')}"
        label = _label_of(region)
        if label not in names:
            raise BadAnnotation(f"{name} has no label. Give it one, or take it away.", "without a label")
        return _mask(region["value"], frame.size, name, notes), names.index(label), False

    return row_of_annotations(image_id, file, frame, regions, segment, notes)


def _size_of(region: dict) -> tuple[int, int] | None:
    return stated_size(region.get("original_height"), region.get("original_width"))


def _mask(value: dict[str, Any], size: tuple[int, int], name: str, notes: AnnotationNotes) -> dict | None:
    height, width = size
    try:
        if "rle" in value:
            pixels = decode_brush(value["rle"], size)
            return coco_mask.encode(np.asfortranarray(pixels)) if pixels.any() else None
        x, y, turn = value.get("x", 0) * width / 100, value.get("y", 0) * height / 100, math.radians(value.get("rotation") or 0)
        if "points" in value:
            outline = [edge for across, down in value["points"] for edge in (across * width / 100, down * height / 100)]
        elif "radiusX" in value:
            outline = ellipse(x, y, value["radiusX"] * width / 100, value["radiusY"] * height / 100, turn)
        else:
            outline = rectangle(x, y, value["width"] * width / 100, value["height"] * height / 100, turn)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise BadAnnotation(f"{name} is broken ({error}). Draw it again, or take it away.", "that are broken") from None
    return polygon_mask([outline], size, name, notes)
