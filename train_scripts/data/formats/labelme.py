"""LabelMe's annotations: a json for each image, beside it or in another folder.

Its shapes are polygons, rectangles, circles, and masks as PNGs. Shapes of one label and one `group_id` are parts of one object. The
pixels are those of `imagePath`, or, where that file is missing, those that the json itself has.

Shapes: H, W pixels.
"""

import base64
import binascii
import io
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.formats.annotation_files import NamedImages, check_images_differ, read_json
from eomt.train_scripts.data.formats.annotation_frames import Frame, frame_of, stated_size
from eomt.train_scripts.data.formats.annotation_notes import AnnotationNotes, BadAnnotation
from eomt.train_scripts.data.formats.annotation_rows import Segment, row_of_annotations
from eomt.train_scripts.data.formats.image_files import IMAGE_SUFFIXES, encoded_file, files_below, walk
from eomt.train_scripts.data.formats.outlines import ellipse
from eomt.train_scripts.data.formats.polygons import polygon_mask
from eomt.train_scripts.data.formats.source import Options, Source, thing_labels
from eomt.train_scripts.data.samples import decode_image

NO_AREA = ("point", "points", "line", "linestrip")
Item = tuple[str, Path | None, Path]  # id and file of an image, and its json


def is_labelme(content: object) -> bool:
    """Whether the content of a json file is LabelMe's."""
    return isinstance(content, dict) and isinstance(content.get("shapes"), list) and "imagePath" in content


def read(images: Path, annotations: Path, options: Options) -> Source:
    """
    Raises:
        ValueError: a folder is missing, a file is of another form, or two are of one image.
    """
    folder, notes = NamedImages(images), AnnotationNotes()
    items, names = [], dict.fromkeys(options.classes)
    for path in files_below(annotations, (".json",), "annotations"):
        content = read_json(path)
        if not is_labelme(content):
            notes.repaired["json files that are not LabelMe's were passed over"] += 1
            continue
        items.append((*_image_of(content, path, annotations, folder), path))
        names |= dict.fromkeys(str(shape["label"]) for shape in content["shapes"] if isinstance(shape, dict) and shape.get("label"))
    check_images_differ([(name, file or path) for name, file, path in items], annotations)
    annotated = {file for _, file, _ in items}
    photos = [path for path in walk(images) if path.suffix.lower() in IMAGE_SUFFIXES]
    notes.repaired["images without a json were passed over"] += sum(path not in annotated for path in photos)
    if options.classes and (unknown := [name for name in names if name not in options.classes]):
        raise ValueError(f"classes={options.classes} lacks the labels {unknown[:10]} of {annotations}. Add them, or give none")
    labels = thing_labels(list(names), options.stuff)

    def files_of(item: Item) -> list[Path]:
        return [file for file in item[1:] if file]

    return Source(labels, items, lambda item: _row(*item, labels.names, options), files_of, notes=notes)


def _image_of(content: dict, path: Path, annotations: Path, folder: NamedImages) -> tuple[str, Path | None]:
    """The id and the file of a json's image; no file if the json has the pixels itself.

    `imagePath` is relative to the json. A file there, or one of its base name beside the json, is the image if it is in the folder
    of the images. Else the name may be another machine's, and the file is the one of that folder that it means there.
    """
    name, top = str(content["imagePath"]).replace("\\", "/"), Path(os.path.abspath(folder.folder))
    near = [Path(os.path.abspath(path.parent / end)) for end in (name.lstrip("/"), name.rpartition("/")[2])]
    near = [file for file in near if file.is_file()]
    if below := [file.relative_to(top) for file in near if file.is_relative_to(top)]:
        return below[0].with_suffix("").as_posix(), folder.folder / below[0]
    image_id, file = folder.named(str(content["imagePath"]), path)
    if file.is_file():
        return file.relative_to(folder.folder).with_suffix("").as_posix(), file
    own = path.relative_to(annotations).with_suffix("").as_posix() if annotations.is_dir() else path.stem
    near += [other for suffix in IMAGE_SUFFIXES if (other := path.with_suffix(suffix)).is_file()]
    if near:
        return own, near[0]
    return (own, None) if content.get("imageData") else (image_id, file)


def _row(image_id: str, file: Path | None, path: Path, names: list[str], options: Options) -> dict:
    content, notes = read_json(path), AnnotationNotes()
    if file is None:
        image = {"bytes": _decoded(content["imageData"], f"{path}: imageData"), "path": None}
        frame = Frame(tuple(decode_image(image, f"{path}: imageData").shape[1:]))
        notes.repaired["images were taken from their json"] += 1
    else:
        image = encoded_file(file)
        frame = frame_of(file, stated_size(content.get("imageHeight"), content.get("imageWidth")), options.mask_orientation, notes)

    def segment(shapes: list[tuple[int, dict]]) -> Segment:
        masks = [_shape_mask(shape, frame.size, f"{path}, shape {number}", notes) for number, shape in shapes]
        masks = [mask for mask in masks if mask is not None]
        label = str(shapes[0][1].get("label"))
        if label not in names:
            raise BadAnnotation(f"{path}, shape {shapes[0][0]} has no label. Give it one, or take it away.", "without a label")
        return coco_mask.merge(masks) if masks else None, names.index(label), False

    return row_of_annotations(image_id, image, frame, _objects(content["shapes"]), segment, notes)


def _objects(shapes: list[Any]) -> list[list[tuple[int, dict]]]:
    """The numbered shapes of each object."""
    objects: dict[Any, list[tuple[int, dict]]] = {}
    for number, shape in enumerate(shape if isinstance(shape, dict) else {} for shape in shapes):
        group = shape.get("group_id")
        key = number if group is None else (str(shape.get("label")), str(group))
        objects.setdefault(key, []).append((number, shape))
    return list(objects.values())


def _shape_mask(shape: dict, size: tuple[int, int], name: str, notes: AnnotationNotes) -> dict | None:
    kind, points = shape.get("shape_type") or "polygon", shape.get("points")
    try:
        if kind == "mask":
            return _png_mask(shape, size, name)
        return polygon_mask([_outline(kind, points, name)], size, name, notes)
    except BadAnnotation as fault:
        notes.faults.append(fault)
        return None


def _outline(kind: str, points: Any, name: str) -> list[float]:
    """The outline of a shape: x0, y0, x1, y1, ... in pixels."""
    try:
        corners = [(float(x), float(y)) for x, y in points]
    except (TypeError, ValueError):
        raise BadAnnotation(
            f"{name} has {points!r:.40} as its points. Draw it again, or take it away.", "without a polygon"
        ) from None
    if kind in ("polygon", "rotation") or kind == "rectangle" and len(corners) == 4:
        return [edge for corner in corners for edge in corner]
    if kind == "rectangle" and len(corners) == 2:
        (left, top), (right, bottom) = corners
        return [left, top, right, top, right, bottom, left, bottom]
    if kind == "circle" and len(corners) == 2:
        (x, y), edge = corners
        return ellipse(x, y, math.dist((x, y), edge), math.dist((x, y), edge))
    reason = "has no area" if kind in NO_AREA else f"has {len(corners)} points"
    raise BadAnnotation(f"{name} is a {kind}, which {reason}. Draw a polygon, or take it away.", f"of the kind {kind}")


def _png_mask(shape: dict, size: tuple[int, int], name: str) -> dict | None:
    """The mask of a PNG whose first corner is at the first point."""
    try:
        with Image.open(io.BytesIO(_decoded(shape["mask"], name))) as image:
            pixels = np.asarray(image.convert("L")) > 0
        left, top = (round(float(edge)) for edge in shape["points"][0])
    except (KeyError, IndexError, TypeError, ValueError, OSError, BadSample, Image.DecompressionBombError) as error:
        lack = f"lacks {error}" if isinstance(error, KeyError) else f"is broken ({error})"
        message = f"{name} is a mask that {lack}. Draw it again, or take it away."
        raise BadAnnotation(message, "with a broken mask") from None
    mask = np.zeros(size, dtype=np.uint8)
    inside = mask[max(top, 0) : top + pixels.shape[0], max(left, 0) : left + pixels.shape[1]]
    inside[:] = pixels[max(-top, 0) :, max(-left, 0) :][: inside.shape[0], : inside.shape[1]]
    return coco_mask.encode(np.asfortranarray(mask)) if mask.any() else None


def _decoded(text: Any, name: str) -> bytes:
    try:
        return base64.b64decode(text)
    except (binascii.Error, TypeError, ValueError) as error:
        raise BadSample(f"{name} is no base64 ({error}). Save it again.") from None
