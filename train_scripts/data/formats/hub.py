"""Datasets of the Hub, and others that `datasets` reads, by their columns: a photo, a label image, and perhaps a table of segments.

Encodings of labels are those of `label_images`; the one at hand is detected where the first rows leave no other.
"""

import contextlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import datasets
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError

from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.choices import LABEL_KINDS
from eomt.train_scripts.data.formats.class_values import ClassValues, class_values, given_values
from eomt.train_scripts.data.formats.hub_rows import HubSplit, RowsInOrder, open_splits
from eomt.train_scripts.data.formats.label_images import (
    detect_kind,
    encoded_image,
    label_columns,
    read_label,
    segment_table,
)
from eomt.train_scripts.data.formats.label_names import LabelNames, names_of_feature, names_of_json, names_of_mapping
from eomt.train_scripts.data.formats.source import Options, Source

IMAGE, TABLE, NAMES_FILE = "image", "segments_info", "id2label.json"
LABELS = ("label", "labels", "label_image", "mask", "masks", "annotation", "annotations", "segmentation", "segmentation_mask")
MAPPINGS = ("id2label", "label2id", "semantic_class_to_id")  # columns that hold names and values
FILE_COLUMNS = "In metadata.jsonl or .csv, name a column of files mask_file_name or similarly, so that `datasets` reads the images"
REDUCED = "If 0 is void and the first name is that of 1, give reduce_labels."
FIRST_ROWS = 8  # of a split, by which the encoding is detected


@dataclass(frozen=True)
class Columns:
    """The columns that are read; `table` is None where there is none."""

    image: str
    label: str
    table: str | None


def read(dataset: Path, split: Path, options: Options) -> Source:
    """
    Args:
        dataset: a folder, a parquet file, or a name on the Hub.
        split: its name.
        options: what columns and labels leave open.

    Raises:
        ValueError: there is no such dataset or split, or columns, names or the encoding must be given.
    """
    name, splits = str(dataset), open_splits(str(dataset), options.dataset_config)
    if str(split) not in splits:
        raise ValueError(f"dataset={name} has no split {str(split)!r}, but {list(splits)}. Choose one of these by split")
    first = next(iter(splits.values()))
    columns = _columns(first.rows.features or next(iter(first.rows), {}), options, name)
    names = _names(first, columns, options, name)
    kind = options.kind or _detected_kind(splits, columns, names, name)
    classes = _class_values(kind, names, options)
    rows = RowsInOrder(splits[str(split)], [dataset / split, dataset], columns.image)

    def make_row(number: int) -> dict:
        try:
            image_id, row = rows[number]
        except IndexError:
            raise BadSample(f"dataset={name}, split {split}: there is no row {number}, though its metadata says so.") from None
        source = f"{name}, {split} {number}: {columns.label}"
        label = read_label(row[columns.label], source)
        table = segment_table(row[columns.table]) if columns.table else []
        image = encoded_image(row[columns.image], f"{name}, {split} {number}: {columns.image}")
        return {"image_id": image_id, "image": image, **label_columns(label, table, kind, classes, source)}

    context = (name, str(split), splits[str(split)].state, columns, kind, classes)
    items = range(splits[str(split)].count())
    return Source(classes.labels, items, make_row, lambda number: [], context, name_of=lambda number: f"{name}, {split} {number}")


def _columns(features: Mapping[str, Any], options: Options, name: str) -> Columns:
    """
    Raises:
        ValueError: a column doesn't exist, or which one is meant must be given.
    """
    images = [column for column, feature in features.items() if _may_hold_images(feature)]
    for option, column in (("image_column", options.image_column), ("label_column", options.label_column)):
        if column and column not in features:
            raise ValueError(f"{option}={column!r} is no column of {name}, which has {sorted(features)}")
        if column and column not in images:
            raise ValueError(
                f"{option}={column!r} of {name} holds {features[column]!r:.80}, no images; those are in {images}. {FILE_COLUMNS}"
            )
    named = [column for column in images if column.lower() in LABELS]
    label = options.label_column or (named[0] if len(named) == 1 else None)
    others = [column for column in images if column != label and column not in named]
    image = options.image_column or (IMAGE if IMAGE in images else others[0] if len(others) == 1 else None)
    rest = [column for column in images if column != image]
    label = label or (rest[0] if image and len(rest) == 1 else None)
    if not image or not label or image == label:
        raise ValueError(
            f"dataset={name} has the columns {sorted(features)}, of which {images} hold images. Give that of the photos by "
            f"image_column and that of the label images by label_column{'' if len(images) > 1 else f'. {FILE_COLUMNS}'}"
        )
    return Columns(image, label, next((column for column, feature in features.items() if _is_table(column, feature)), None))


def _may_hold_images(feature: Any) -> bool:
    return isinstance(feature, datasets.Image) or isinstance(feature, Mapping) and {"bytes", "path"} <= feature.keys()


def _is_table(column: str, feature: Any) -> bool:
    entries = feature.feature if isinstance(feature, datasets.List | datasets.LargeList) else feature
    return isinstance(entries, Mapping) and {"id", "category_id"} <= entries.keys() or column == TABLE


def _names(split: HubSplit, columns: Columns, options: Options, name: str) -> LabelNames:
    """The names of values: those that were given; else those in the table of segments, in a column of `MAPPINGS`, in the dataset's
    `id2label.json`, or in the only column of lists of class labels.

    Raises:
        ValueError: there are none.
    """
    features = split.rows.features or {}
    if options.classes:
        return LabelNames(given_values(options)[0])
    if options.id2label:
        given = _names_of_column(split, options.id2label) if options.id2label in features else None
        here = Path(options.id2label)
        if path := None if given else here if here.is_file() else _file_of(name, options.id2label):
            return names_of_json(path)
        if not given:
            raise ValueError(f"id2label={options.id2label!r} is no json file here or in {name}, and no column of it with names")
        return LabelNames(given)
    named = [column for column, feature in features.items() if names_of_feature(feature)]
    certain = [column for column in (columns.table, *MAPPINGS) if column in named or column in features and column in MAPPINGS]
    if certain and (names := _names_of_column(split, certain[0])):
        return LabelNames(names)
    if path := _file_of(name, NAMES_FILE):
        return names_of_json(path)
    lists = [column for column in named if not isinstance(features[column], datasets.ClassLabel)]  # one label is of the whole image
    if len(lists) == 1:
        return LabelNames(names_of_feature(features[lists[0]]))
    hint = f"; the columns {named} have names, of which one may be given by id2label" if named else ""
    raise ValueError(f"dataset={name} says no names of the values. Give them by classes, or a json file by id2label{hint}")


def _names_of_column(split: HubSplit, column: str) -> dict[int, str] | None:
    if names := names_of_feature(split.rows.features[column]):
        return names
    first = next(iter(split.rows), {}).get(column)
    return names_of_mapping(first) if isinstance(first, Mapping) else None


def _file_of(dataset: str, file: str) -> Path | None:
    """A file in the dataset's folder, else in its repository on the Hub."""
    path = Path(dataset) / file
    if path.is_file():
        return path
    if Path(dataset).exists():
        return None
    try:
        return Path(hf_hub_download(dataset, file, repo_type="dataset"))
    except (EntryNotFoundError, OSError):  # it has none, or the Hub can't be reached
        return None


def _detected_kind(splits: Mapping[str, HubSplit], columns: Columns, names: LabelNames, name: str) -> str:
    """
    Raises:
        ValueError: the first rows leave several, or none.
    """
    labels, tables = [], []
    for split in sorted(splits, key=lambda split: split != "train"):
        for row in itertools.islice(splits[split].rows, FIRST_ROWS):
            with contextlib.suppress(BadSample, OSError):  # what is wrong is reported when its turn comes
                labels.append(read_label(row[columns.label], name))
                tables.append(segment_table(row[columns.table]) if columns.table else [])
        if labels:  # there are none in a split of a test
            break
    kind = detect_kind(labels, tables if columns.table else [], names.names)
    if not labels:
        raise ValueError(f"the column {columns.label} of {name} shows no image in its first rows; choose another split")
    if kind is None:
        form = "colours" if any(label.is_colour for label in labels) else "values that may be classes or ids of objects"
        raise ValueError(
            f"the column {columns.label} of {name} has {form}: say what they are by kind, one of {', '.join(LABEL_KINDS)}"
        )
    return kind


def _class_values(kind: str, names: LabelNames, options: Options) -> ClassValues:
    """
    Raises:
        ValueError: names and options don't fit.
    """
    values, void = dict(names.names), given_values(options)[1] if options.classes else set(options.void)
    if options.reduce_labels:
        values, void = {value + 1: name for value, name in values.items()}, void | {0}
    stuff = options.stuff or [name for name in names.stuff or [] if name in values.values()]
    if kind == "class_instance" and values.get(0, "background").lower() == "background" and values.get(0) not in stuff:
        void.add(0)
    if kind == "semantic" and options.stuff:
        raise ValueError(f"stuff={options.stuff} means nothing for the kind semantic, all of whose classes are stuff; leave it out")
    if kind == "instance" and len(values) > 1:
        raise ValueError(f"kind='instance' is of objects of one class, not of {list(values.values())}; give one by classes")
    named_stuff = [name for name in stuff if options.stuff or name not in {values.get(value) for value in void}]
    classes = class_values(values, void, None if kind == "semantic" else named_stuff)
    return classes if options.reduce_labels else replace(classes, advice=f"{classes.advice} {REDUCED}")
