"""Polygons of the VGG Image Annotator (VIA 1 and 2), one json for each split. Circles, ellipses and rectangles become polygons.

The class of a region is its attribute `--class_key`; without that option, its only attribute. A region without attributes is of
the only class in `--classes`.

Shapes: H, W pixels.
"""

import math
from collections.abc import Iterator
from pathlib import Path

from eomt.train_scripts.data.formats.coco import read_json
from eomt.train_scripts.data.formats.image_files import check_names_differ, image_size
from eomt.train_scripts.data.formats.polygons import polygon_mask
from eomt.train_scripts.data.formats.segment_rows import row_of_masks
from eomt.train_scripts.data.formats.source import Options, Source, thing_labels
from eomt.train_scripts.data.samples import BadSample

CIRCLE_VERTICES = 64


def entries(content: object) -> dict[str, dict] | None:
    """{key: entry} of the annotated images of a VIA project or export; None if `content` is of another json."""
    if not isinstance(content, dict):
        return None
    by_key = content.get("_via_img_metadata", content)
    ok = isinstance(by_key, dict) and by_key and all(isinstance(entry, dict) and "regions" in entry for entry in by_key.values())
    return by_key if ok else None


def read(images: Path, annotations: Path, options: Options) -> Source:
    """
    Raises:
        ValueError: the file is missing or of another form, two entries are of one image, or a region's class can't be determined.
    """
    by_key = entries(read_json(annotations))
    if by_key is None:
        raise ValueError(f"annotations={annotations} is not of VIA's form: images with `filename` and `regions`.")
    items = sorted(((entry["filename"], list(_regions(entry))) for entry in by_key.values()), key=lambda item: item[0])
    check_names_differ((name for name, _ in items), annotations)
    named = [_class_of(region, options) for _, regions in items for region in regions]
    if None in named and not (options.class_key or options.classes):
        raise ValueError(
            f"annotations={annotations}: the class of {named.count(None)} of {len(named)} regions can't be determined. Name the "
            "attribute that is the class by class_key, or give the one name of all regions without attributes by classes"
        )
    labels = thing_labels(options.classes or sorted(set(named) - {None}), options.stuff)
    return Source(labels, items, lambda item: _row(*item, images, labels.names, options), lambda item: [images / item[0]])


def _regions(entry: dict) -> Iterator[dict]:
    regions = entry["regions"]
    yield from regions.values() if isinstance(regions, dict) else regions  # VIA 1 numbers them by keys


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


def _row(filename: str, regions: list[dict], images: Path, names: list[str], options: Options) -> dict:
    path = images / filename
    size = image_size(path)
    masks, categories = [], []
    for number, region in enumerate(regions):
        name = f"{path}: region {number}"
        label = _class_of(region, options)
        if label not in names:
            problem = f"the class {label!r}" if label else f"no class in its attributes {region.get('region_attributes')}"
            raise BadSample(f"{name} has {problem}; classes are {names}.")
        masks.append(polygon_mask([_polygon(region["shape_attributes"], name)], size, name))
        categories.append(names.index(label))
    return row_of_masks(Path(filename).with_suffix("").as_posix(), path, size, masks, categories, [False] * len(masks))


def _polygon(shape: dict, name: str) -> list[float]:
    """The outline of a shape: x0, y0, x1, y1, ... in pixels."""
    kind = shape.get("name")
    if kind in ("polygon", "polyline"):
        return [edge for point in zip(shape["all_points_x"], shape["all_points_y"], strict=True) for edge in point]
    if kind == "rect":
        left, top, right, bottom = shape["x"], shape["y"], shape["x"] + shape["width"], shape["y"] + shape["height"]
        return [left, top, right, top, right, bottom, left, bottom]
    if kind == "circle":
        return _ellipse(shape["cx"], shape["cy"], shape["r"], shape["r"], shape.get("theta", 0.0))
    if kind == "ellipse":
        return _ellipse(shape["cx"], shape["cy"], shape["rx"], shape["ry"], shape.get("theta", 0.0))
    raise BadSample(f"{name} is a {kind}, which has no area. Draw a polygon, or take it away.")


def _ellipse(center_x: float, center_y: float, radius_x: float, radius_y: float, turn: float) -> list[float]:
    """A polygon of an ellipse that is turned by an angle in radians."""
    polygon = []
    for step in range(CIRCLE_VERTICES):
        angle = 2 * math.pi * step / CIRCLE_VERTICES
        x, y = radius_x * math.cos(angle), radius_y * math.sin(angle)
        polygon += [
            center_x + x * math.cos(turn) - y * math.sin(turn),
            center_y + x * math.sin(turn) + y * math.cos(turn),
        ]
    return polygon
