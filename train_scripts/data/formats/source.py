"""What a reader of an annotation format is given, and what it gives to `prepare`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.formats.annotation_notes import AnnotationNotes


@dataclass(frozen=True)
class Options:
    """What the annotations of some formats leave open. Which formats have use for which options is in `readers.OPTIONS`.

    Args:
        classes: names by index.
        stuff: those of the classes that aren't things.
        void: values of semantic masks that are no class.
        kind: of masks, what their values are; one of `MASK_KINDS`.
        class_key: of VIA, the region attribute that is the class.
        instances: beside masks of classes, the folder of masks of instances.
        dataset_config: of a dataset of `datasets`, which of its configurations is read.
        image_column, label_column: of such a dataset, the columns of photos and label images.
        id2label: of such a dataset, the json file, or the column, that has the names of the values.
        reduce_labels: of such a dataset, whether 0 is void and the first name is that of 1.
        values: of masks, the value of each name in `classes`, where it is not the index. Several values may have one name, and
            the name `void` is of values that are no class.
        colours: the colour of each name in `classes`, where masks have colours.
        mask_suffix: that the stems of masks have beyond those of their images.
        mask_orientation: whether annotations of photos with an EXIF orientation are of the "upright" photo or of the "raw" pixels.
        crowds: of COCO's instances, whether annotations with iscrowd = 1 are "crowds" or "objects".
        image_list: a text file of the stems that are taken.
        image_folders: of YOLO, the folders and lists of images, if there are several.
    """

    classes: list[str] = field(default_factory=list)
    stuff: list[str] = field(default_factory=list)
    void: list[int] = field(default_factory=list)
    kind: str | None = None
    class_key: str | None = None
    instances: str | None = None
    dataset_config: str | None = None
    image_column: str | None = None
    label_column: str | None = None
    id2label: str | None = None
    reduce_labels: bool = False
    values: list[int] = field(default_factory=list)
    colours: list[tuple[int, int, int]] = field(default_factory=list)
    mask_suffix: str | None = None
    mask_orientation: str | None = None
    crowds: str | None = None
    image_list: str | None = None
    image_folders: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Source:
    """
    The images of a split, which become rows one by one.

    Args:
        labels: the classes.
        items: something small for each image, in the order of the rows.
        make_row: item -> a row with the columns of `eomt.train_scripts.data.dataset_folder`; raises BadSample, naming file and
            reason. The row may have beside them `dropped`, the number of segments without a pixel that were left out; `faults`, a
            `BadAnnotation` for each annotation that can't be used; `repaired`, {what was changed in reading it: how often}.
        files_of: item -> the files that its row is made of.
        context: what rows depend on beside labels, items and files. Labels, items and context must have a `repr` that tells
            different ones apart, since shards of an interrupted run are kept only if it is the same.
        background: the class that void became, if it became one; see [`with_background`].
        name_of: item -> what messages call it; its files by default.
        problems: what is known to be wrong before any row is made, such as images without annotations.
        notes: the same of annotations, such as those of no image.
    """

    labels: Labels
    items: Sequence[Any]
    make_row: Callable[[Any], dict]
    files_of: Callable[[Any], list[Path]]
    context: Any = None
    background: int | None = None
    name_of: Callable[[Any], str] | None = None
    problems: Sequence[str] = ()
    notes: AnnotationNotes = field(default_factory=AnnotationNotes)

    def describe(self, item: Any) -> str:
        """What messages call an item."""
        return self.name_of(item) if self.name_of else " and ".join(map(str, self.files_of(item)))


def thing_labels(names: Sequence[str], stuff: Sequence[str]) -> Labels:
    """Classes that are things, but for `stuff`.

    Raises:
        ValueError: `stuff` has a name that isn't among `names`, or `names` is empty or has a name twice.
    """
    if unknown := sorted(set(stuff) - set(names)):
        raise ValueError(f"stuff={list(stuff)} names {unknown}, which are no classes; those are {list(names)}")
    if not names or len(set(names)) < len(names):
        raise ValueError(f"classes={list(names)} must be one or more names, each once")
    return Labels(list(names), [name not in stuff for name in names])
