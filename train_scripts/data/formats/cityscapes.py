"""Cityscapes' official form, for semantic segmentation: `*_leftImg8bit.png` and `*_gtFine_labelIds.png` in a folder for each city.

The classes are the 19 of the benchmark, in its order. The values of all others are void.
"""

from pathlib import Path

import numpy as np

from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.formats.image_files import encoded_file, files_below, images_by_stem
from eomt.train_scripts.data.formats.index_images import read_indices
from eomt.train_scripts.data.formats.segment_rows import recoded_map
from eomt.train_scripts.data.formats.source import Options, Source

CLASSES = {  # value in labelIds -> name
    7: "road",
    8: "sidewalk",
    11: "building",
    12: "wall",
    13: "fence",
    17: "pole",
    19: "traffic light",
    20: "traffic sign",
    21: "vegetation",
    22: "terrain",
    23: "sky",
    24: "person",
    25: "rider",
    26: "car",
    27: "truck",
    28: "bus",
    31: "train",
    32: "motorcycle",
    33: "bicycle",
}
IMAGE_END, LABEL_END, TRAIN_END = "_leftImg8bit", "_gtFine_labelIds", "_gtFine_labelTrainIds"


def read(images: Path, annotations: Path, options: Options) -> Source:
    """
    Raises:
        ValueError: a folder is missing or empty, or has the classes by their number in training alone.
    """
    _refuse_train_ids(images, annotations)
    photos = {stem.removesuffix(IMAGE_END): path for stem, path in images_by_stem(images).items()}
    pngs = {stem: path for stem, path in images_by_stem(annotations, (".png",), "annotations").items() if stem.endswith(LABEL_END)}
    pngs = {stem.removesuffix(LABEL_END): path for stem, path in pngs.items()}
    problems = [
        f"{photos[stem]} has no *{LABEL_END}.png in {annotations}. Unpack gtFine there." for stem in photos if stem not in pngs
    ]
    problems += [
        f"{pngs[stem]} has no *{IMAGE_END}.png in {images}. Unpack leftImg8bit there." for stem in pngs if stem not in photos
    ]
    items = [(stem, photos[stem], pngs[stem]) for stem in photos if stem in pngs]
    names = list(CLASSES.values())
    return Source(Labels(names, [False] * len(names)), items, _row, lambda item: list(item[1:]), problems=problems)


def _refuse_train_ids(images: Path, annotations: Path) -> None:
    stems = [path.stem for path in files_below(annotations, (".png",), "annotations")]
    if any(stem.endswith(TRAIN_END) for stem in stems) and not any(stem.endswith(LABEL_END) for stem in stems):
        names = ",".join(CLASSES.values())
        raise ValueError(
            f"annotations={annotations} has no *{LABEL_END}.png, but *{TRAIN_END}.png, whose values are 0..18. Read them as masks: "
            f"--images {images} --annotations {annotations} --format masks --kind semantic --mask_suffix {TRAIN_END} --void 255 "
            f'--classes "{names}"'
        )


def _row(item: tuple[str, Path, Path]) -> dict:
    stem, photo, png = item
    values = read_indices(png)
    index = {value: position for position, value in enumerate(CLASSES)}
    present = [value for value in np.unique(values).tolist() if value in index]
    return {
        "image_id": Path(stem).name,
        "image": encoded_file(photo),
        "id_map": recoded_map(values, {value: index[value] + 1 for value in present}),
        "segments": [{"id": index[value] + 1, "category": index[value], "iscrowd": False} for value in present],
    }
