"""Label images as datasets of `datasets` hold them, in the encodings of transformers' own examples.

- semantic: a value is a class;
- instance: a value is the id of an object, all of one class, and 0 is background;
- class_instance: in RGB, red is the class and green the number of the object; 0 in both is background;
- panoptic: in RGB, R + 256 G + 65536 B is the id of a segment; a table, the column `segments_info`, has `id`, `category_id`, and
  perhaps `iscrowd`, of each.

Shapes: H, W pixels.
"""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.formats.class_and_instance import segment_columns
from eomt.train_scripts.data.formats.class_values import ClassValues
from eomt.train_scripts.data.formats.segment_rows import recoded_map
from eomt.train_scripts.data.samples import decode_id_map, name_of_file, read_bytes

LOSSY = ("JPEG", "MPO")


@dataclass(frozen=True)
class LabelImage:
    """A decoded label.

    Args:
        values: (H, W) int32; of a colour image R + 256 G + 65536 B.
        is_colour: whether its channels differ.
    """

    values: np.ndarray
    is_colour: bool

    @property
    def channels(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Red, green and blue, (H, W) each."""
        if not self.is_colour:
            return self.values, self.values, self.values
        return self.values & 255, self.values >> 8 & 255, self.values >> 16


def encoded_image(value: Any, source: str) -> dict:
    """An image of a row as prepared rows store it.

    Args:
        value: `{"bytes": ..., "path": ...}`, one of which may be None, or the bytes alone.
        source: begins the error message.

    Raises:
        BadSample: there is no image.
    """
    value = {"bytes": value, "path": None} if isinstance(value, bytes) else value
    if not isinstance(value, dict) or not (value.get("bytes") or value.get("path")):
        raise BadSample(f"{source} holds no image, but {value!r:.80}. Leave such rows out, or their split by choosing another.")
    content, path = value.get("bytes"), value.get("path")
    return {"bytes": content or read_bytes(path), "path": path and name_of_file(path)}


def read_label(value: Any, source: str) -> LabelImage:
    """
    Raises:
        BadSample: there is no image, it can't be decoded, or it is stored with loss.
    """
    encoded = encoded_image(value, source)
    values = decode_id_map(encoded, source)
    with Image.open(io.BytesIO(encoded["bytes"])) as image:
        if image.format in LOSSY:
            raise BadSample(f"{source} is a JPEG, which changes values. Store labels as PNG.")
        if image.mode != "RGB":
            return LabelImage(values, is_colour=False)
    label = LabelImage(values, is_colour=True)
    red, green, blue = label.channels
    return LabelImage(red, is_colour=False) if (red == green).all() and (green == blue).all() else label


def segment_table(value: Any) -> list[dict]:
    """The segments of a row: a list, or a dict of lists, or json of either; None is empty."""
    value = json.loads(value) if isinstance(value, str) else value
    if isinstance(value, dict):
        return [dict(zip(value, entries, strict=True)) for entries in zip(*value.values(), strict=True)]
    return value or []


def detect_kind(labels: Sequence[LabelImage], tables: Sequence[list[dict]], names: dict[int, str]) -> str | None:
    """The encoding, if the first rows leave one alone.

    Args:
        labels: of the first rows.
        tables: of segments of the same rows, or none.
        names: of the classes by value.
    """
    if tables and all(_has_ids(label, table) for label, table in zip(labels, tables, strict=True)):
        return "panoptic"
    if not any(label.is_colour for label in labels):
        return "semantic" if len(names) > 1 else None
    parts = [label.channels for label in labels if label.is_colour]
    classes = {value for red, _, _ in parts for value in np.unique(red).tolist()}
    numbered = any(green.any() for _, green, _ in parts) and not any(blue.any() for _, _, blue in parts)
    return "class_instance" if numbered and classes <= names.keys() | {0, 255} else None


def _has_ids(label: LabelImage, table: list[dict]) -> bool:
    return set(np.unique(label.values).tolist()) <= {segment["id"] for segment in table} | {0}


def label_columns(label: LabelImage, table: list[dict], kind: str, classes: ClassValues, source: str) -> dict:
    """The columns `id_map` and `segments` of a row, and `dropped` of it.

    Args:
        label: of the row.
        table: of the row, for panoptic.
        kind: one of `LABEL_KINDS`.
        classes: what the values stand for.
        source: begins error messages.

    Raises:
        BadSample: the label isn't of that kind, or has an unknown value.
    """
    if kind == "panoptic":
        return _panoptic(label, table, classes, source)
    if label.is_colour and kind != "class_instance":
        raise BadSample(
            f"{source} holds colours, not values of kind {kind}. Give kind class_instance for red = class and green = instance, or "
            "panoptic for ids with a table; turn other colours into values first."
        )
    if kind == "instance":
        present = [value for value in np.unique(label.values).tolist() if value]
        return _columns(label.values, {value: (0, False) for value in present})
    if kind == "semantic":
        present = np.unique(label.values).tolist()
        classes.check(present, source)
        return _columns(label.values, {v: (classes.index_of[v], False) for v in present if v in classes.index_of})
    red, green, blue = label.channels
    if blue.any():
        raise BadSample(f"{source} has blue; kind class_instance has classes in red and instances in green. Give another kind.")
    return segment_columns(red, green, classes, source, background=0)


def _panoptic(label: LabelImage, table: list[dict], classes: ClassValues, source: str) -> dict:
    present = set(np.unique(label.values).tolist())
    if unknown := sorted(present - {segment["id"] for segment in table} - {0}):
        raise BadSample(f"{source} has the ids {unknown[:10]}, which its table lacks. Add them there, or set their pixels to 0.")
    shown = [segment for segment in table if segment["id"] in present]
    classes.check([segment["category_id"] for segment in shown], f"{source}: segments")
    kept = [segment for segment in shown if segment["category_id"] in classes.index_of]
    ids = {segment["id"]: (classes.index_of[segment["category_id"]], bool(segment.get("iscrowd"))) for segment in kept}
    return {**_columns(label.values, ids), "dropped": len(table) - len(shown)}


def _columns(values: np.ndarray, segments: dict[int, tuple[int, bool]]) -> dict:
    """Of {value: (class index, crowd)}; other values become void. Segments are counted anew from 1."""
    new_ids = {value: number + 1 for number, value in enumerate(segments)}
    table = [{"id": new_ids[value], "category": category, "iscrowd": crowd} for value, (category, crowd) in segments.items()]
    return {"id_map": recoded_map(values, new_ids), "segments": table}
