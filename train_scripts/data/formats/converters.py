"""Datasets that no reader is here for: what they are known by, and the way that leads here.

Datumaro 1.13 reads most of them and writes COCO's form. It wants an environment of its own, since it pins older versions of
libraries, and tensorboardX beside it.
"""

from dataclasses import dataclass
from pathlib import Path

INSTALL = "python -m venv datum && datum/bin/pip install datumaro tensorboardX"


@dataclass(frozen=True)
class Converter:
    """
    Args:
        title: of the format.
        marks: patterns of files or folders below the dataset's folder, any of which it is known by.
        form: Datumaro's name of it.
        inside: the subfolder that Datumaro takes.
        more: options of Datumaro.
        note: what else there is to say: what must be there first, or another way.
    """

    title: str
    marks: tuple[str, ...]
    form: str
    inside: str = ""
    more: str = ""
    note: str = ""


CONVERTERS = (
    Converter(
        title="Mapillary Vistas",
        marks=("config_v*.json", "*/v2.0/labels", "*/v1.2/labels"),
        form="mapillary_vistas_instances",
        note="Or read its classes as masks: --images {folder}/training/images --annotations {folder}/training/v2.0/labels --kind "
        "semantic --classes {folder}/config_v2.0.json",
    ),
    Converter(
        title="the full ADE20K",
        marks=("images/ADE", "ADE/training", "training/*/*/ADE_train_*_seg.png"),
        form="ade20k2020",
        inside="images/ADE",
        more=" -e '/item/annotation[type=\"polygon\"]' --filter-mode items+annotations",
        note="Its 150 classes of scene parsing are read from ADEChallengeData2016, as it is unpacked",
    ),
    Converter(
        title="Open Images",
        marks=("*-annotations-object-segmentation.csv", "annotations/*-annotations-object-segmentation.csv"),
        form="open_images",
        note="Datumaro wants images/train, masks/train, the csv files in annotations, with class-descriptions.csv, and "
        "annotations/images.meta with a line `ID HEIGHT WIDTH` for each image",
    ),
)


def advice_for(folder: Path) -> str | None:
    """What to do with a dataset that is known but not read, as the end of a sentence that begins with its folder; else None."""
    for converter in CONVERTERS:
        if any(next(folder.glob(mark), None) for mark in converter.marks):
            return _advice(converter, folder)
    return None


def _advice(converter: Converter, folder: Path) -> str:
    source = folder / converter.inside if (folder / converter.inside).is_dir() else folder
    out = f"{folder.name}_coco"
    note = f". {converter.note.format(folder=folder)}" if converter.note else ""
    return (
        f"is {converter.title}, which Datumaro converts: {INSTALL} && datum/bin/datum convert -i {source} -if {converter.form} "
        f"-f coco_instances -o {out}{converter.more} -- --save-media, and then --source {out}{note}"
    )
