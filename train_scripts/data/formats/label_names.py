"""Names of the values of labels: from a json file, or from the features of a dataset of `datasets`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets


@dataclass(frozen=True)
class LabelNames:
    """
    Args:
        names: value -> name.
        stuff: names of the classes that aren't things, where the source says so.
    """

    names: dict[int, str]
    stuff: list[str] | None = field(default=None)


def names_of_json(path: Path) -> LabelNames:
    """The names in a file of `{"0": "sky", ...}`, `{"sky": 0, ...}`, `["sky", ...]` or `[{"id": 0, "name": "sky"}, ...]`, the last
    with or without `isthing`.

    Raises:
        ValueError: it has none of these forms.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        if isinstance(content, list) and all(isinstance(entry, dict) for entry in content):
            names = {int(entry["id"]): str(entry["name"]) for entry in content}
            if all("isthing" in entry for entry in content):
                return LabelNames(names, [str(entry["name"]) for entry in content if not entry["isthing"]])
            return LabelNames(names)
        if isinstance(content, list):
            return LabelNames(dict(enumerate(map(str, content))))
        return LabelNames(names_of_mapping(content))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f'id2label={path}: no names can be read ({error!r}). It must be like {{"0": "sky", "1": "road"}}, ["sky", "road"] or '
            '[{"id": 0, "name": "sky"}]'
        ) from error


def names_of_mapping(content: Mapping[str, Any]) -> dict[int, str]:
    """{value: name} of a mapping in either direction.

    Raises:
        ValueError, TypeError: neither keys nor values are whole numbers.
    """
    content = {key: value for key, value in content.items() if value is not None}  # a struct has None for what a row lacks
    if all(isinstance(value, int) for value in content.values()):
        return {value: name for name, value in content.items()}
    return {int(value): str(name) for value, name in content.items()}


def names_of_feature(feature: Any) -> dict[int, str] | None:
    """The names of a feature that is of class labels, or has them in lists, or as `category_id` or another entry of a table."""
    if isinstance(feature, datasets.ClassLabel):
        return dict(enumerate(feature.names))
    if isinstance(feature, datasets.List | datasets.LargeList):
        return names_of_feature(feature.feature)
    if isinstance(feature, Mapping):
        inside = [names for entry in feature.values() if (names := names_of_feature(entry))]
        return inside[0] if len(inside) == 1 else None
    return None
