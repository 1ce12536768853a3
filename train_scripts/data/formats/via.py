"""Polygons of the VGG Image Annotator (VIA 2): one json a split; circles, ellipses and rectangles as well.

A region's class is its attribute `--class_key`, or its only one; regions without attributes are of the only name in `--classes`.
"""

import math
from collections.abc import Iterator
from pathlib import Path

from eomt.train_scripts.data.formats.coco import read_json
from eomt.train_scripts.data.formats.source import (
    Options,
    Source,
    check_names_differ,
    encoded_file,
    image_size,
    polygon_mask,
    row_of_masks,
    thing_labels,
)
from eomt.train_scripts.data.samples import BadSample

ROUND = 64  # vertices of a circle


def entries(content: object) -> dict[str, dict] | None:
    """The annotated images of a VIA project or export; None for another json."""
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
    """None if it can't be determined."""
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
    encoded_file(path)
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
    return row_of_masks(Path(filename).with_suffix("").as_posix(), path, masks, categories, [False] * len(masks))


def _polygon(shape: dict, name: str) -> list[float]:
    kind = shape.get("name")
    if kind in ("polygon", "polyline"):
        return [edge for point in zip(shape["all_points_x"], shape["all_points_y"], strict=True) for edge in point]
    if kind == "rect":
        left, top, right, bottom = shape["x"], shape["y"], shape["x"] + shape["width"], shape["y"] + shape["height"]
        return [left, top, right, top, right, bottom, left, bottom]
    if kind in ("circle", "ellipse"):
        radii = (shape["r"],) * 2 if kind == "circle" else (shape["rx"], shape["ry"])
        turn, polygon = shape.get("theta", 0.0), []
        for step in range(ROUND):
            angle = 2 * math.pi * step / ROUND
            x, y = radii[0] * math.cos(angle), radii[1] * math.sin(angle)
            polygon += [
                shape["cx"] + x * math.cos(turn) - y * math.sin(turn),
                shape["cy"] + x * math.sin(turn) + y * math.cos(turn),
            ]
        return polygon
    raise BadSample(f"{name} is a {kind}, which has no area. Draw a polygon, or take it away.")
