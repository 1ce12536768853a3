"""The options of `prepare`: which files are read, and what their formats leave open."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from eomt.train_scripts.data.choices import BAD_SAMPLES, EMPTY, FORMATS, LABEL_KINDS
from eomt.train_scripts.data.formats import coco_crowds
from eomt.train_scripts.data.formats.class_list import parse_classes
from eomt.train_scripts.data.formats.orientation import CHOICES
from eomt.train_scripts.data.formats.source import Options
from eomt.train_scripts.data.formats.split import Split, class_options


@dataclass
class PrepareOptions:
    """Which files become a dataset, and how."""

    out: str = field(metadata={"help": "folder of the dataset to be written"})
    source: str | None = field(
        default=None, metadata={"help": "folder or zip file of a dataset in a known layout; all its splits are prepared"}
    )
    images: str | None = field(
        default=None, metadata={"help": "folder or zip file of one split's images, or one image, in place of source"}
    )
    annotations: str | None = field(
        default=None, metadata={"help": "json file, or folder of masks, json or text files, that belongs to images; or one mask"}
    )
    instances: str | None = field(
        default=None, metadata={"help": "folder of masks of instances beside annotations, masks of classes; together panoptic"}
    )
    dataset: str | None = field(
        default=None,
        metadata={"help": "what `datasets` reads, in place of source: org/name on the Hub, or a folder or parquet file"},
    )
    dataset_config: str | None = field(default=None, metadata={"help": "dataset: its configuration, if it has several"})
    image_column: str | None = field(default=None, metadata={"help": "dataset: column of the photos, image by default"})
    label_column: str | None = field(
        default=None, metadata={"help": "dataset: column of the label images, by default one named label, mask or similarly"}
    )
    id2label: str | None = field(
        default=None,
        metadata={"help": "dataset: json file, here or in its repository, or column, with the names of the labels' values"},
    )
    reduce_labels: bool = field(
        default=False, metadata={"help": "dataset: 0 is void, and the first name is that of 1, as transformers' option does it"}
    )
    split: str | None = field(
        default=None, metadata={"help": "name of the split of images and annotations, train by default; the one of dataset to read"}
    )
    format: str | None = field(
        default=None, metadata={"help": "of the annotations, where it can't be detected", "choices": list(FORMATS)}
    )
    kind: str | None = field(
        default=None, metadata={"help": "masks, dataset: what the values of labels are", "choices": list(LABEL_KINDS)}
    )
    classes: list[str] = field(
        default_factory=list,
        metadata={"help": "names by index, with commas between; value:name or r,g,b:name for masks; or a txt, csv, json or yaml"},
    )
    stuff: list[str] = field(
        default_factory=list,
        metadata={"help": "those of the classes that are not things, where the annotations don't say, as classes are given"},
    )
    void: list[int] = field(default_factory=list, metadata={"help": "values of semantic masks that are no class"})
    background: str | None = field(
        default=None, metadata={"help": "name of a class, stuff, that void becomes: all that no segment covers"}
    )
    mask_suffix: str | None = field(
        default=None, metadata={"help": "masks: what their names have beyond those of the images, such as _mask"}
    )
    mask_orientation: str | None = field(
        default=None,
        metadata={
            "help": "masks or polygons of photos that EXIF turns: drawn on the upright photo or on stored pixels",
            "choices": list(CHOICES),
        },
    )
    crowds: str | None = field(
        default=None,
        metadata={
            "help": "coco_instances: what iscrowd = 1 marks, groups of objects or, as CVAT exports brush masks, objects",
            "choices": list(coco_crowds.CHOICES),
        },
    )
    class_key: str | None = field(default=None, metadata={"help": "via: the region attribute that is the class"})
    bad_samples: str = field(
        default="raise",
        metadata={
            "help": "images, or single annotations of an image, that can't be used: stop, or leave out and count",
            "choices": list(BAD_SAMPLES),
        },
    )
    empty: str = field(
        default="raise",
        metadata={"help": "images without a segment but crowds: stop, leave out, or keep", "choices": list(EMPTY)},
    )
    val_share: float = field(default=0.0, metadata={"help": "share of a single split's images for a second, val: each k-th"})

    def __post_init__(self):
        for name, value in class_options(parse_classes(self.classes)).items():  # classes, and values and colours of masks
            setattr(self, name, value)
        self.image_list, self.image_folders = None, []  # which only layouts give
        self.stuff = [name for text in self.stuff for name in class_names(text)]
        pair = self.images, self.annotations
        if sum(map(bool, (self.source, self.dataset, any(pair)))) != 1 or any(pair) != all(pair):
            raise ValueError("give either --source, or --images and --annotations, or --dataset")
        if self.instances and not self.annotations:
            raise ValueError(f"--instances {self.instances}: give it beside --images and --annotations, masks of classes")
        if self.source and self.split:
            raise ValueError(f"--split {self.split}: all splits of --source are prepared; give --images and --annotations for one")

    def splits(self) -> list[Split]:
        """What is to be read.

        Raises:
            ValueError: the layout or the format can't be detected.
        """
        # readers are loaded when the options are right
        from eomt.train_scripts.data.formats.archives import unpacked
        from eomt.train_scripts.data.formats.detection import dataset_splits, detect_format, find_splits
        from eomt.train_scripts.data.formats.mask_layouts import masks_split

        if self.dataset:
            return dataset_splits(self.dataset, self.dataset_config, self.split)
        if self.source:
            return find_splits(unpacked(Path(self.source), self.out), self.format)
        images, annotations = self._content(self.images), self._content(self.annotations)
        form = self.format or ("panoptic_masks" if self.instances else detect_format(annotations))
        if images.is_file() and images.suffix != ".txt" and form not in ("masks", "panoptic_masks", "datasets"):
            images = images.parent  # annotation files say which image is meant
        split = Split(self.split or "train", form, images, annotations)
        return [masks_split(split, self.split) if form == "masks" else split]

    def _content(self, source: str) -> Path:
        """The folder or file of an argument; of a zip file what is in it, without the folder around it."""
        from eomt.train_scripts.data.formats.archives import innermost, is_archive, unpacked

        path = Path(source)
        return innermost(unpacked(path, self.out)) if is_archive(path) else path

    def policies(self) -> dict[str, Any]:
        """The arguments of `prepare` beside splits and what their formats leave open."""
        return {name: getattr(self, name) for name in ("bad_samples", "empty", "val_share", "background")}

    def format_options(self) -> Options:
        """What the formats leave open."""
        return Options(**{option.name: getattr(self, option.name) for option in fields(Options)})


def class_names(text: str) -> list[str]:
    """`sky,road`, or the names in a file of classes.

    Raises:
        ValueError: the text is the name of a file that doesn't exist or has no names.
    """
    return [entry.name for entry in parse_classes([text])]
