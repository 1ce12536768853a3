"""The options of `prepare`: which files are read, and what their formats leave open."""

from dataclasses import dataclass, field, fields
from pathlib import Path

from eomt.train_scripts.data.formats.class_list import parse_classes
from eomt.train_scripts.data.formats.detection import detect_format, find_splits
from eomt.train_scripts.data.formats.mask_layouts import masks_split
from eomt.train_scripts.data.formats.masks import KINDS
from eomt.train_scripts.data.formats.orientation import CHOICES
from eomt.train_scripts.data.formats.readers import READERS
from eomt.train_scripts.data.formats.source import Options
from eomt.train_scripts.data.formats.split import Split, class_options
from eomt.train_scripts.data.samples import BAD_SAMPLES
from eomt.train_scripts.data.split_preparation import EMPTY


@dataclass
class PrepareOptions:
    """Which files become a dataset, and how."""

    out: str = field(metadata={"help": "folder of the dataset to be written"})
    source: str | None = field(
        default=None, metadata={"help": "folder of a dataset in a known layout; all its splits are prepared"}
    )
    images: str | None = field(default=None, metadata={"help": "folder of one split's images, in place of source"})
    annotations: str | None = field(
        default=None, metadata={"help": "json file, or folder of masks or text files, that belongs to images"}
    )
    split: str | None = field(default=None, metadata={"help": "name of the split of images and annotations, train by default"})
    format: str | None = field(
        default=None, metadata={"help": "of the annotations, where it can't be detected", "choices": list(READERS)}
    )
    kind: str | None = field(
        default=None, metadata={"help": "masks: what their values are, classes or ids of objects", "choices": list(KINDS)}
    )
    classes: list[str] = field(
        default_factory=list,
        metadata={"help": "names by index, with commas between; value:name or r,g,b:name for masks; or a txt, csv, json or yaml"},
    )
    stuff: list[str] = field(
        default_factory=list,
        metadata={"help": "those of the classes that are not things (coco_instances, yolo, via), as classes are given"},
    )
    void: list[int] = field(default_factory=list, metadata={"help": "values of semantic masks that are no class"})
    mask_suffix: str | None = field(
        default=None, metadata={"help": "masks: what their names have beyond those of the images, such as _mask"}
    )
    mask_orientation: str | None = field(
        default=None,
        metadata={
            "help": "masks of photos that EXIF turns: drawn on the upright photo or on stored pixels",
            "choices": list(CHOICES),
        },
    )
    class_key: str | None = field(default=None, metadata={"help": "via: the region attribute that is the class"})
    bad_samples: str = field(
        default="raise", metadata={"help": "images that can't be used: stop, or leave out and count", "choices": list(BAD_SAMPLES)}
    )
    empty: str = field(
        default="raise",
        metadata={"help": "images without a segment but crowds: stop, leave out, or keep", "choices": list(EMPTY)},
    )
    val_share: float = field(default=0.0, metadata={"help": "share of a single split's images for a second, val: each k-th"})

    def __post_init__(self):
        for name, value in class_options(parse_classes(self.classes)).items():  # classes, and values and colours of masks
            setattr(self, name, value)
        self.image_list = None  # which only layouts give
        self.stuff = [name for text in self.stuff for name in class_names(text)]
        if bool(self.source) == bool(self.images or self.annotations) or bool(self.images) != bool(self.annotations):
            raise ValueError("give either --source, or --images and --annotations")
        if self.source and self.split:
            raise ValueError(f"--split {self.split}: all splits of --source are prepared; give --images and --annotations for one")

    def splits(self) -> list[Split]:
        """What is to be read.

        Raises:
            ValueError: the layout or the format can't be detected.
        """
        if self.source:
            return find_splits(self.source, self.format)
        annotations = Path(self.annotations)
        form = self.format or detect_format(annotations)
        split = Split(self.split or "train", form, Path(self.images), annotations)
        return [masks_split(split, self.split) if form == "masks" else split]

    def format_options(self) -> Options:
        """What the formats leave open."""
        return Options(**{option.name: getattr(self, option.name) for option in fields(Options)})


def class_names(text: str) -> list[str]:
    """`sky,road`, or the names in a file of classes.

    Raises:
        ValueError: the text is the name of a file that doesn't exist or has no names.
    """
    return [entry.name for entry in parse_classes([text])]
