"""What `iscrowd` means in a json of COCO's form: a crowd, or a brush mask.

COCO marks groups of objects that nobody drew one by one, about one of a hundred annotations. CVAT and Datumaro set the mark of each
object that was drawn as a mask, and give polygons none.
"""

from collections.abc import Sequence
from pathlib import Path

CHOICES = ("objects", "crowds")
MOST_CROWDS = 0.05  # of all annotations, in a dataset that means crowds


def crowds_are_objects(entries: Sequence[dict], choice: str | None, annotations: Path) -> bool:
    """Whether annotations with iscrowd = 1 are objects.

    Args:
        entries: all annotations of a json.
        choice: one of `CHOICES`; None to detect it.
        annotations: the file, for messages.

    Raises:
        ValueError: it can't be detected.
    """
    marked = [entry for entry in entries if entry.get("iscrowd")]
    if choice or not marked:
        return choice == "objects"
    if len(marked) == len(entries) or any(_is_of_cvat(entry) for entry in marked):
        return True
    if len(marked) <= MOST_CROWDS * len(entries):
        return False
    raise ValueError(
        f"annotations={annotations}: {len(marked)} of {len(entries)} annotations have iscrowd = 1, which is a crowd of objects in "
        "COCO and a mask drawn with a brush in exports of CVAT and Datumaro. Say which: --crowds objects or --crowds crowds"
    )


def _is_of_cvat(entry: dict) -> bool:
    return isinstance(entry.get("attributes"), dict) and "occluded" in entry["attributes"]
