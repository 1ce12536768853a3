"""COCO's instances, and LVIS': polygons or run lengths. Class indices follow the order of the json's categories, or `--classes`.

Shapes: H, W pixels.
"""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eomt.train_scripts.data.formats.annotation_files import NamedImages, check_images_differ, read_json
from eomt.train_scripts.data.formats.annotation_frames import frame_by_sizes, frame_of, stated_size
from eomt.train_scripts.data.formats.annotation_notes import AnnotationNotes, BadAnnotation
from eomt.train_scripts.data.formats.annotation_rows import Segment, row_of_annotations
from eomt.train_scripts.data.formats.coco_categories import Categories, read_categories
from eomt.train_scripts.data.formats.coco_crowds import crowds_are_objects
from eomt.train_scripts.data.formats.coco_segmentation import segmentation_mask
from eomt.train_scripts.data.formats.source import Options, Source

NAME_KEYS = ("file_name", "coco_url", "path")  # LVIS gives addresses alone
BRUSHED = "masks with iscrowd = 1, as CVAT and Datumaro export brush masks, were read as objects; else --crowds crowds"
Item = tuple[str, Path, dict, list[dict]]  # id and file of an image, its entry and its annotations


def read(images: Path, annotations: Path, options: Options) -> Source:
    """
    Raises:
        ValueError: the file is missing or isn't of COCO's instance form, an id is of two images, or two images have one name.
    """
    content, notes = read_json(annotations), AnnotationNotes()
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise ValueError(f"annotations={annotations} has no list `{key}`, which COCO's form has. Export it again as COCO")
    categories = read_categories(content["categories"], content["annotations"], options, annotations)
    by_id = _images_by_id(content["images"], annotations, notes)
    of_image: dict[str, list[dict]] = {key: [] for key in by_id}
    for number, annotation in enumerate(content["annotations"]):
        _sort_in(number, annotation, of_image, annotations, notes)
    as_objects = crowds_are_objects([entry for entries in of_image.values() for entry in entries], options.crowds, annotations)
    folder = NamedImages(images)
    names = [folder.named(_file_name(entry, annotations), annotations) for entry in by_id.values()]
    check_images_differ(names, annotations)
    items = [(*name, entry, of_image[key]) for name, (key, entry) in zip(names, by_id.items(), strict=True)]

    @functools.cache
    def how_others_lie() -> str | None:
        ways = {frame_by_sizes(path, _stated_size(entry)) for _, path, entry, _ in items} - {None}
        return ways.pop() if len(ways) == 1 else None

    def make_row(item: Item) -> dict:
        image_id, path, entry, entries = item
        notes = AnnotationNotes()
        frame = frame_of(path, _stated_size(entry), options.mask_orientation, notes, how_others_lie)

        def segment(annotation: dict) -> Segment:
            return _segment(annotation, frame.size, categories, as_objects, f"{path}, annotation {annotation.get('id')}", notes)

        return row_of_annotations(image_id, path, frame, entries, segment, notes)

    context = (categories, as_objects)
    return Source(categories.labels, items, make_row, lambda item: [item[1]], context=context, notes=notes)


def id_key(value: Any) -> str | None:
    """An id as annotations may write it: 7, 7.0 or "7". None if it is none."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, int | str) and not isinstance(value, bool) else None


def _images_by_id(entries: Sequence[dict], annotations: Path, notes: AnnotationNotes) -> dict[str, dict]:
    """{id: entry}. An entry that comes twice, as in files that were merged, is taken once.

    Raises:
        ValueError: an entry lacks id or name, or two images have one id.
    """
    by_id: dict[str, dict] = {}
    for number, entry in enumerate(entries):
        key = id_key(entry.get("id")) if isinstance(entry, dict) else None
        if key is None:
            raise ValueError(f"annotations={annotations}: images[{number}] has no `id`. Export it again, or give it one")
        known = by_id.setdefault(key, entry)
        if _file_name(known, annotations) != _file_name(entry, annotations):
            raise ValueError(
                f"annotations={annotations} has the image id {key} for {_file_name(known, annotations)} and for "
                f"{_file_name(entry, annotations)}, so that which annotations belong to which can't be determined. If files were "
                "merged by hand, prepare each of them alone, or number the images of the second one, in `images` and in "
                "`annotations`, beyond those of the first"
            )
        notes.repaired["entries of images that came twice"] += known is not entry
    return by_id


def _file_name(entry: dict, annotations: Path) -> str:
    name = next((entry[key] for key in NAME_KEYS if isinstance(entry.get(key), str) and entry[key]), None)
    if name is None:
        raise ValueError(
            f"annotations={annotations}: the image of id {entry.get('id')} has no `file_name`. Export it again, or give it one"
        )
    return name


def _sort_in(number: int, annotation: Any, of_image: dict[str, list[dict]], annotations: Path, notes: AnnotationNotes) -> None:
    """Adds an annotation to those of its image."""
    if not isinstance(annotation, dict):
        raise ValueError(f"annotations={annotations}: annotations[{number}] is {annotation!r:.40}, no mapping. Export it again")
    name = f"annotations={annotations}: annotation {annotation.get('id', f'annotations[{number}]')}"
    if (key := id_key(annotation.get("image_id"))) in of_image:
        of_image[key].append(annotation)
    elif key is None:
        notes.faults.append(BadAnnotation(f"{name} has no image_id. Give it one, or take it away.", "without an image_id"))
    else:
        notes.faults.append(
            BadAnnotation(
                f"{name} has image_id {key}, which no entry of `images` has. Take it away.", "of images that aren't listed"
            )
        )


def _stated_size(entry: dict) -> tuple[int, int] | None:
    return stated_size(entry.get("height"), entry.get("width"))


def _segment(
    annotation: dict, size: tuple[int, int], categories: Categories, as_objects: bool, name: str, notes: AnnotationNotes
) -> Segment:
    category = categories.index.get(id_key(annotation.get("category_id")) or "")
    if category is None:
        lack = f"category_id {annotation['category_id']}, which" if "category_id" in annotation else "no category_id, and"
        raise BadAnnotation(
            f"{name} has {lack} is not in the json's categories. Add the category, or take the annotation away.",
            "of categories that aren't listed",
        )
    is_crowd = bool(annotation.get("iscrowd", 0)) and not as_objects
    notes.repaired[BRUSHED] += as_objects and bool(annotation.get("iscrowd", 0))
    return segmentation_mask(annotation, size, name, notes), category, is_crowd
