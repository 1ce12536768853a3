"""A split to be read: its format, its images and its annotations."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from eomt.train_scripts.data.formats.class_list import ClassEntry, read_class_file
from eomt.train_scripts.data.formats.source import Options


@dataclass(frozen=True)
class Split:
    """A split to be read.

    Args:
        name: of the split.
        format: of the annotations, a key of `READERS`.
        images: a folder, or one image. Of the format datasets, a folder, a parquet file or a name on the Hub.
        annotations: a json file, a folder, or one mask. Of the format datasets, the name of the dataset's split.
        class_file: of the dataset, with the names of its classes. `--classes` wins.
        image_list: a text file of the stems that are in the split; None if all are.
        kind: of masks, if the layout decides it. `--kind` wins.
        void: values of masks that are void in this layout, where no class has them.
        image_folders: of YOLO, the folders and lists of images, if there are several; `images` is the folder above them.
    """

    name: str
    format: str
    images: Path
    annotations: Path
    class_file: Path | None = None
    image_list: Path | None = None
    kind: str | None = None
    void: tuple[int, ...] = ()
    image_folders: tuple[Path, ...] = ()

    @property
    def image_places(self) -> tuple[Path, ...]:
        """The folders or lists of its images."""
        return self.image_folders or (self.images,)


def split_options(split: Split, options: Options) -> Options:
    """The options for a split: those given, and what its layout says where nothing is given.

    Raises:
        ValueError: the file of classes can't be understood.
    """
    changes = {}
    if split.class_file and not options.classes:
        changes |= class_options(read_class_file(split.class_file))
    if split.kind and not options.kind:
        changes["kind"] = split.kind
    if split.image_list:
        changes["image_list"] = str(split.image_list)
    if split.image_folders:
        changes["image_folders"] = list(map(str, split.image_folders))
    values = changes.get("values") or options.values or range(len(changes.get("classes", options.classes)))
    if split.void and not options.void and not set(split.void) & set(values):
        changes["void"] = list(split.void)
    return replace(options, **changes)


def class_options(entries: Sequence[ClassEntry]) -> dict[str, list]:
    """The fields of `Options` that entries of classes are stored in."""
    values, colours = [entry.value for entry in entries], [entry.colour for entry in entries]
    return {
        "classes": [entry.name for entry in entries],
        "values": [] if None in values else values,
        "colours": [] if None in colours else colours,
    }
