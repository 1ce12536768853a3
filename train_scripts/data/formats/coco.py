"""COCO's instances as polygons or run lengths. Class indices follow the order of the json's categories.

Shapes: H, W pixels.
"""

import functools
import json
from pathlib import Path
from typing import Any

from pycocotools import mask as coco_mask

from eomt.train_scripts.data.formats.image_files import check_names_differ, image_size
from eomt.train_scripts.data.formats.polygons import polygon_mask
from eomt.train_scripts.data.formats.segment_rows import row_of_masks
from eomt.train_scripts.data.formats.source import Options, Source, thing_labels
from eomt.train_scripts.data.run_lengths import rle_to_edges
from eomt.train_scripts.data.samples import BadSample


def read_json(path: Path) -> Any:
    """The content of a json file of annotations.

    Raises:
        ValueError: the file is missing or broken.
    """
    if not path.is_file():
        raise ValueError(f"annotations={path}: no such file.")
    return _read_version(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=1)  # detection and reader both take it, and it may be large
def _read_version(path: Path, changed: int) -> Any:
    """The file as it was at the time of its last change, which makes a changed file another entry of the cache."""
    try:
        return json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"annotations={path} is not JSON ({error}). Download or export it again.") from error


def read_instances(images: Path, annotations: Path, options: Options) -> Source:
    """
    Raises:
        ValueError: the file is missing or isn't of COCO's instance form, an annotation has no image, or two images have one name.
    """
    content = read_json(annotations)
    try:
        categories = _without_roots(content)
        labels = thing_labels([entry["name"] for entry in categories], options.stuff)
        index = {entry["id"]: position for position, entry in enumerate(categories)}
        annotated = {image["id"]: (image, []) for image in content["images"]}
        for annotation in content["annotations"]:
            annotated[annotation["image_id"]][1].append(annotation)
        file_names = [image["file_name"] for image, _ in annotated.values()]
    except (KeyError, TypeError) as error:
        raise ValueError(f"annotations={annotations} can't be read as COCO instance annotations ({error!r}).") from error
    check_names_differ(file_names, annotations)
    return Source(
        labels,
        list(annotated.values()),
        lambda pair: _instance_row(*pair, index, images),
        lambda pair: [images / pair[0]["file_name"]],
        index,
    )


def _without_roots(content: dict) -> list[dict]:
    """The categories, without those that some exports add as roots of others.

    A category is left out if no annotation has it, and it is the supercategory of another or has the name of a later one.
    """
    used = {annotation["category_id"] for annotation in content["annotations"]}
    groups = {entry.get("supercategory") for entry in content["categories"] if entry.get("supercategory") != entry["name"]}
    names = [entry["name"] for entry in content["categories"]]
    return [
        entry
        for index, entry in enumerate(content["categories"])
        if entry["id"] in used or not (entry["name"] in groups or entry["name"] in names[index + 1 :])
    ]


def _instance_row(image: dict, annotations: list[dict], index: dict[int, int], images: Path) -> dict:
    path = images / image["file_name"]
    size = image_size(path)
    name = f"{path}, image_id {image['id']}"
    if size != (image.get("height", size[0]), image.get("width", size[1])):
        stated = f"{image.get('width')} x {image.get('height')}"
        raise BadSample(
            f"{name}: the json says {stated} pixels, but the (upright) image has {size[1]} x {size[0]}. Mend one of them."
        )
    masks = [_mask(annotation, size, f"{name}: annotation {annotation.get('id')}") for annotation in annotations]
    categories = [_category(annotation, index, name) for annotation in annotations]
    crowd = [annotation.get("iscrowd", 0) for annotation in annotations]
    return row_of_masks(Path(image["file_name"]).with_suffix("").as_posix(), path, size, masks, categories, crowd)


def _mask(annotation: dict, size: tuple[int, int], name: str) -> dict | None:
    """The mask of an annotation in compressed run lengths; None if it has no pixel."""
    segmentation = annotation.get("segmentation")
    if not segmentation:
        raise BadSample(f"{name} has no segmentation, a box perhaps. Leave it out of the json.")
    if isinstance(segmentation, list):  # of polygons; some tools write one polygon without the list around it
        return polygon_mask(segmentation if isinstance(segmentation[0], list) else [segmentation], size, name)
    if tuple(segmentation.get("size", ())) != size:
        raise BadSample(
            f"{name} has run lengths of size {segmentation.get('size')}, but the image is {list(size)}. Mend one of them."
        )
    counts = segmentation["counts"]
    if isinstance(counts, list):  # not compressed
        if min(counts, default=0) < 0 or sum(counts) != size[0] * size[1]:
            raise BadSample(f"{name} has run lengths that fill {sum(counts)} pixels of {size[0] * size[1]}. Export it again.")
        mask = coco_mask.frPyObjects(segmentation, *size)
    else:
        mask = {"size": list(size), "counts": counts.encode() if isinstance(counts, str) else counts}
        rle_to_edges(mask, size, f"{name}: segmentation")
    return mask if coco_mask.area(mask) else None


def _category(segment: dict, index: dict[int, int], name: str) -> int:
    """The class index of a segment."""
    if segment["category_id"] not in index:
        raise BadSample(f"{name}: category_id {segment['category_id']} is not in the json's categories.")
    return index[segment["category_id"]]
