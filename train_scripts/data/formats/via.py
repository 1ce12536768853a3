"""Polygons of the VGG Image Annotator (VIA 1, 2 and 3), one json for each split. Circles, ellipses and rectangles become polygons.

The class of a region is its attribute `--class_key`; without that option, its only attribute. A region without attributes is of
the only class in `--classes`.

Shapes: H, W pixels.
"""

from collections.abc import Iterator
from pathlib import Path

from eomt.train_scripts.data.formats.annotation_files import NamedImages, check_images_differ, read_json
from eomt.train_scripts.data.formats.annotation_frames import frame_of
from eomt.train_scripts.data.formats.annotation_notes import AnnotationNotes, BadAnnotation
from eomt.train_scripts.data.formats.annotation_rows import Segment, row_of_annotations
from eomt.train_scripts.data.formats.outlines import ellipse, rectangle
from eomt.train_scripts.data.formats.polygons import polygon_mask
from eomt.train_scripts.data.formats.source import Options, Source, thing_labels
from eomt.train_scripts.data.formats.via3 import class_order, is_via3, via2_entries


def is_via(content: object) -> bool:
    """Whether the content of a json file is a VIA project or export."""
    if not isinstance(content, dict) or is_via3(content):
        return is_via3(content)
    by_key = content.get("_via_img_metadata", content)
    return bool(by_key) and isinstance(by_key, dict) and all(isinstance(it, dict) and "regions" in it for it in by_key.values())


def entries(content: dict) -> dict[str, dict]:
    """{key: entry} of the annotated images of a VIA project or export."""
    return via2_entries(content) if is_via3(content) else content.get("_via_img_metadata", content)


def read(images: Path, annotations: Path, options: Options) -> Source:
    """
    Raises:
        ValueError: the file is missing or of another form, two entries are of one image, or a region's class can't be determined.
    """
    content = read_json(annotations)
    if not is_via(content):
        raise ValueError(f"annotations={annotations} is not of VIA's form: images with `filename` and `regions`.")
    by_key = entries(content)
    if unnamed := [key for key, entry in by_key.items() if not isinstance(entry.get("filename"), str)]:
        raise ValueError(f"annotations={annotations}: the entry {unnamed[0]!r} has no `filename`. Export it again, or give it one")
    folder = NamedImages(images)
    named = [(*folder.named(entry["filename"], annotations), list(_regions(entry))) for entry in by_key.values()]
    items = sorted(named, key=lambda item: item[0])
    check_images_differ([item[:2] for item in items], annotations)
    found = [_class_of(region, options) for *_, regions in items for region in regions]
    if None in found and not (options.class_key or options.classes):
        raise ValueError(
            f"annotations={annotations}: the class of {found.count(None)} of {len(found)} regions can't be determined. Name the "
            "attribute that is the class by --class_key, or give the one name of all regions without attributes by --classes"
        )
    names = sorted(set(found) - {None})
    if is_via3(content):
        names = [name for name in class_order(content) if name in names]
    labels = thing_labels(options.classes or names, options.stuff)
    return Source(labels, items, lambda item: _row(*item, labels.names, options), lambda item: [item[1]])


def _regions(entry: dict) -> Iterator[dict]:
    regions = entry["regions"]
    regions = regions.values() if isinstance(regions, dict) else regions  # VIA 1 numbers them by keys
    yield from (region if isinstance(region, dict) else {} for region in regions)


def _class_of(region: dict, options: Options) -> str | None:
    """The class of a region; None if it can't be determined."""
    attributes = region.get("region_attributes") or {}
    key = options.class_key or (next(iter(attributes)) if len(attributes) == 1 else None)
    value = attributes.get(key)
    if isinstance(value, dict):  # a checkbox
        ticked = [word for word, on in value.items() if on]
        value = ticked[0] if len(ticked) == 1 else None
    if value:
        return str(value).strip()
    if not attributes and len(options.classes) == 1:
        return options.classes[0]
    return None


def _row(image_id: str, path: Path, regions: list[dict], names: list[str], options: Options) -> dict:
    notes = AnnotationNotes()
    frame = frame_of(path, None, options.mask_orientation, notes)

    def segment(numbered: tuple[int, dict]) -> Segment:
        number, region = numbered
        name, label = f"{path}: region {number}", _class_of(region, options)
        if label not in names:
            problem = f"the class {label!r}" if label else f"no class in its attributes {region.get('region_attributes')}"
            raise BadAnnotation(f"{name} has {problem}; classes are {names}.", "without a class")
        outline = _outline(region.get("shape_attributes") or {}, name)
        return polygon_mask([outline], frame.size, name, notes), names.index(label), False

    return row_of_annotations(image_id, path, frame, enumerate(regions), segment, notes)


def _outline(shape: dict, name: str) -> list[float]:
    """The outline of a shape: x0, y0, x1, y1, ... in pixels."""
    kind = shape.get("name")
    try:
        if kind in ("polygon", "polyline"):
            return [edge for point in zip(shape["all_points_x"], shape["all_points_y"], strict=True) for edge in point]
        if kind == "rect":
            return rectangle(shape["x"], shape["y"], shape["width"], shape["height"])
        if kind == "circle":
            return ellipse(shape["cx"], shape["cy"], shape["r"], shape["r"])
        if kind == "ellipse":
            return ellipse(shape["cx"], shape["cy"], shape["rx"], shape["ry"], shape.get("theta", 0.0))
    except (KeyError, TypeError, ValueError) as error:
        lack = f"lacks {error}" if isinstance(error, KeyError) else f"is broken ({error})"
        raise BadAnnotation(f"{name} is a {kind} that {lack}. Draw it again, or take it away.", "that are broken") from None
    raise BadAnnotation(f"{name} is a {kind}, which has no area. Draw a polygon, or take it away.", f"of the kind {kind}")
