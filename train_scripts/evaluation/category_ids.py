"""The category ids of predictions: those of a COCO json, by the names of classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from eomt.train_scripts.data.formats.annotation_files import read_json


@dataclass(frozen=True)
class Category:
    """
    Args:
        number: COCO's id.
        isthing: whether it is a thing.
    """

    number: int | str
    isthing: bool


def read_categories(path: str | Path | None) -> dict[str, Category] | None:
    """The categories of a json by name: its list `categories`, or the file's own list, as in `panoptic_coco_categories.json`.

    Args:
        path: of the json; None gives None.

    Raises:
        ValueError: the file is missing or broken, has no list of categories, or an entry lacks `id` or `name`.
    """
    if path is None:
        return None
    content = read_json(Path(path), "categories")
    entries = content.get("categories") if isinstance(content, dict) else content
    if not isinstance(entries, list):
        raise ValueError(
            f"categories={path} has no list of categories. Give a json that is one, or that has one under the key `categories`"
        )
    for number, entry in enumerate(entries):
        named = isinstance(entry, dict) and isinstance(entry.get("name"), str) and isinstance(entry.get("id"), int | str)
        if not named:
            raise ValueError(f"categories={path}: entry {number} is {str(entry)[:80]}, without an `id` or a `name`. Give it both")
    return {entry["name"]: Category(entry["id"], bool(entry.get("isthing", True))) for entry in entries}


def categories_of(
    names: Sequence[str], categories: Mapping[str, Category] | None, path: str | Path | None
) -> tuple[list[int | str], list[bool]]:
    """The category id of each class, and whether it is a thing. Without categories ids are class indices, and all are things.

    Args:
        names: of the model's classes.
        categories: as [`read_categories`] gives them.
        path: of their file, for messages.

    Raises:
        ValueError: a class is not among the categories.
    """
    if categories is None:
        return list(range(len(names))), [True] * len(names)
    if unknown := sorted(set(names) - categories.keys()):
        raise ValueError(
            f"categories={path} lacks the model's classes {unknown[:10]}. Give the json of the data it was trained on."
        )
    return [categories[name].number for name in names], [categories[name].isthing for name in names]
