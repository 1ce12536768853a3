"""COCO's panoptic segments: a json, and PNGs in which R + 256 G + 65536 B is the id of a segment.

Class indices follow the order of the json's categories. The PNGs lie in a folder that has the name of the json without its suffix,
beside the json as in COCO's archive, or above it. Categories that don't say whether they are things are things, except for
`--stuff`.

Shapes: H, W pixels.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import from_numpy

from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.formats.annotation_files import read_json
from eomt.train_scripts.data.formats.image_files import check_names_differ, encoded_file
from eomt.train_scripts.data.formats.source import Options, Source, thing_labels
from eomt.train_scripts.data.samples import decode_id_map, present_segments


def read(images: Path, annotations: Path, options: Options) -> Source:
    """
    Raises:
        ValueError: the file is missing or isn't of COCO's panoptic form, an annotation has no image, or an image has two.
    """
    content = read_json(annotations)
    try:
        by_id = {image["id"]: image for image in content["images"]}
        labels = _labels(content["categories"], options.stuff, annotations)
        index = {entry["id"]: position for position, entry in enumerate(content["categories"])}
        pairs = [(by_id[annotation["image_id"]], annotation) for annotation in content["annotations"]]
        file_names = [image["file_name"] for image, _ in pairs]
        pngs = _png_folder(images, annotations, [annotation["file_name"] for _, annotation in pairs])
    except (KeyError, TypeError) as error:
        lack = f"an entry lacks {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(
            f"annotations={annotations} can't be read as COCO panoptic annotations: {lack}. Export it again."
        ) from error
    check_names_differ(file_names, annotations)
    annotated = {image["id"] for image, _ in pairs}
    problems = [
        f"{images / image['file_name']} has no entry in the annotations of {annotations}. Add one, or take the image out there."
        for image in by_id.values()
        if image["id"] not in annotated
    ]

    def files_of(pair: tuple[dict, dict]) -> list[Path]:
        return [images / pair[0]["file_name"], pngs / pair[1]["file_name"]]

    return Source(labels, pairs, lambda pair: _row(*pair, index, images, pngs), files_of, context=index, problems=problems)


def _labels(categories: Sequence[dict], stuff: Sequence[str], annotations: Path) -> Labels:
    names = [entry["name"] for entry in categories]
    if any("isthing" in entry for entry in categories):
        if stuff:
            raise ValueError(f"stuff={list(stuff)}: the categories of {annotations} say by isthing what is stuff; leave stuff out")
        return Labels(names, [bool(entry["isthing"]) for entry in categories])
    return thing_labels(names, stuff)


def _png_folder(images: Path, annotations: Path, names: Sequence[str]) -> Path:
    """The folder that has the first PNG.

    Raises:
        ValueError: none has it.
    """
    stem = annotations.stem
    folders = [annotations.with_suffix(""), annotations.parent.parent / stem, images.parent / stem, annotations.parent, images]
    for folder in folders:
        if names and (folder / names[0]).is_file():
            return folder
    if annotations.with_suffix("").is_dir() or not names:
        return annotations.with_suffix("")  # some are missing, which is said of each
    raise ValueError(
        f"annotations={annotations} has its PNGs neither in {folders[0]} nor in {folders[1]}. Unpack them in the first."
    )


def _row(image: dict, annotation: dict, index: dict[int, int], images: Path, pngs: Path) -> dict:
    """The row of an image and its annotation, less segments without a pixel. `index` is {category id: class index}."""
    name, png = f"image_id {image['id']}", encoded_file(pngs / annotation["file_name"])
    table = []
    for segment in annotation["segments_info"]:
        if segment["category_id"] not in index:
            raise BadSample(f"{name}: category_id {segment['category_id']} is not in the json's categories.")
        crowd = bool(segment.get("iscrowd", 0))
        table.append({"id": segment["id"], "category": index[segment["category_id"]], "iscrowd": crowd})
    ids = from_numpy(decode_id_map(png, f"{name}: {pngs / annotation['file_name']}"))
    present = present_segments(ids, from_numpy(np.array([segment["id"] for segment in table], dtype=np.int64))).tolist()
    kept = [segment for segment, is_there in zip(table, present, strict=True) if is_there]
    return {
        "image_id": Path(image["file_name"]).with_suffix("").as_posix(),
        "image": encoded_file(images / image["file_name"]),
        "id_map": png,
        "segments": kept,
        "dropped": len(table) - len(kept),
    }
