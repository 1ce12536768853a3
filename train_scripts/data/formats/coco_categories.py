"""The categories of COCO's instances -> classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.formats.source import Options, thing_labels


@dataclass(frozen=True)
class Categories:
    """
    Args:
        labels: the classes.
        index: {category id as text: class index}. Categories of one name are one class.
    """

    labels: Labels
    index: dict[str, int]


def read_categories(entries: Sequence[dict], used_by: Sequence[dict], options: Options, annotations: Path) -> Categories:
    """
    Args:
        entries: the categories of a json.
        used_by: its annotations.
        options: with `classes`, which is the order of the classes and may name more of them, and `stuff`.
        annotations: the file, for messages.

    Raises:
        ValueError: an entry lacks id or name, `classes` lacks a name, or `stuff` has one too many.
    """
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict) or entry.get("id") is None or not str(entry.get("name") or "").strip():
            raise ValueError(f"annotations={annotations}: categories[{number}] has no `id` or no `name`. Give it both")
    kept = _without_roots(entries, {_key(entry.get("category_id")) for entry in used_by if isinstance(entry, dict)})
    names = list(dict.fromkeys(str(entry["name"]).strip() for entry in kept))
    if options.classes and (missing := [name for name in names if name not in options.classes]):
        raise ValueError(f"classes={options.classes} lacks the categories {missing[:10]} of {annotations}. Add them, or give none")
    labels = thing_labels(options.classes or names, options.stuff)
    return Categories(labels, {_key(entry["id"]): labels.names.index(str(entry["name"]).strip()) for entry in kept})


def _without_roots(entries: Sequence[dict], used: set[str]) -> list[dict]:
    """The categories, without those that some exports add as roots of others.

    A category is left out if no annotation has it, it has no group itself, and it is the group of another or has the name of a
    later one. A class that is a group of its own, as in COCO, stays.
    """
    groups = {str(entry.get("supercategory")) for entry in entries}
    names = [entry["name"] for entry in entries]
    return [
        entry
        for index, entry in enumerate(entries)
        if _key(entry["id"]) in used
        or str(entry.get("supercategory") or "none").strip() != "none"
        or not (entry["name"] in groups or entry["name"] in names[index + 1 :])
    ]


def _key(category_id: object) -> str:
    if isinstance(category_id, float) and category_id.is_integer():
        category_id = int(category_id)
    return str(category_id)
