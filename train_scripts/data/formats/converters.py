"""Datasets that no reader is here for: what they are known by, and the way that leads here.

Datumaro 1.13 reads most of them and writes COCO's form. It wants an environment of its own, since it pins versions of libraries,
and its extra `cli`. Supervisely's are read by its SDK.
"""

import re
from dataclasses import dataclass
from pathlib import Path

DATUMARO = (
    "python -m venv datum && datum/bin/pip install 'datumaro[cli]==1.13.*' && datum/bin/datum convert -i {source} -if {form} "
    "-f coco_instances -o {out}{more} -- --save-media"
)
SUPERVISELY = (
    'python -m venv sly && sly/bin/pip install supervisely && sly/bin/python -c "import supervisely; '
    "supervisely.convert.to_coco('{source}', dest_dir='{out}')\""
)


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
        tool: that converts it.
        command: of the tool, which writes COCO's form into a folder.
    """

    title: str
    marks: tuple[str, ...]
    form: str = ""
    inside: str = ""
    more: str = ""
    note: str = ""
    tool: str = "Datumaro"
    command: str = DATUMARO


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
    Converter(
        title="Supervisely's project",
        marks=("*/ann/*.json",),
        tool="its SDK",
        command=SUPERVISELY,
    ),
)
CVAT = Converter(
    title="CVAT's xml",
    marks=(),
    form="cvat",
    note="Or export the task from CVAT again, as COCO 1.0 with its images",
)


def advice_for(folder: Path) -> str | None:
    """What to do with a dataset that is known but not read, as the end of a sentence that begins with its folder; else None."""
    files = (path for pattern in ("*.xml", "*/*.xml") for path in sorted(folder.glob(pattern)))
    return advice_for_layout(folder) or next((advice_for_file(path) for path in files), None)


def advice_for_layout(folder: Path) -> str | None:
    """The same by the names of its files and folders alone."""
    for converter in CONVERTERS:
        if any(next(folder.glob(mark), None) for mark in converter.marks):
            return _advice(converter, folder)
    return None


def advice_for_file(path: Path) -> str | None:
    """The same for one file of annotations that no reader is here for: xml of CVAT, or of tools that draw boxes."""
    if path.suffix.lower() != ".xml" or not path.is_file():
        return None
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        root = re.search(r"<([a-zA-Z]\w*)", file.read(4096))
    if root and root[1] == "annotations":
        return _advice(CVAT, path.parent)
    if root and root[1] == "annotation":
        return "has Pascal VOC's xml, in which objects have boxes and no outlines. Give masks, such as those of SegmentationClass"
    return "has xml that no reader is here for. Export the annotations as COCO"


def _advice(converter: Converter, folder: Path) -> str:
    source = folder / converter.inside if (folder / converter.inside).is_dir() else folder
    out = f"{folder.name}_coco"
    note = f". {converter.note.format(folder=folder)}" if converter.note else ""
    command = converter.command.format(source=source, form=converter.form, out=out, more=converter.more)
    return f"is {converter.title}, which {converter.tool} converts: {command}, and then --source {out}{note}"
