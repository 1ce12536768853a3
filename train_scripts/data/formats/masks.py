"""A folder of images, and one of index images with the same stems.

Kind "semantic": the values are indices of `--classes`, or void. Kind "instance": the values are ids of objects of one class, and
0 is background. The index images are 8-bit or 16-bit grey, or have a palette; then the palette's indices are the values.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from eomt.train_scripts.data.choices import MASK_KINDS
from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.formats.image_files import encoded_file, images_by_stem, read_indices
from eomt.train_scripts.data.formats.segment_rows import recoded_map
from eomt.train_scripts.data.formats.source import Options, Source
from eomt.train_scripts.data.samples import BadSample

MASK_SUFFIXES = (".png", ".tif", ".tiff", ".bmp")  # JPEG changes values


def read(images: Path, annotations: Path, options: Options) -> Source:
    """
    Raises:
        ValueError: an option is missing or wrong, or a folder is missing or empty.
    """
    kind, classes, void = options.kind, options.classes, options.void
    if kind not in MASK_KINDS:
        raise ValueError(f"kind={kind!r}: say what the values of {annotations} are, one of {', '.join(MASK_KINDS)}")
    if not classes or len(set(classes)) < len(classes) or not all(classes):
        raise ValueError(f"classes={classes} must be one or more names, each once, in the order of the masks' values")
    if kind == "instance" and (len(classes) > 1 or void):
        raise ValueError(f"classes={classes}, void={void}: kind='instance' has one class, and 0 is background; no void")
    if wrong := sorted(value for value in void if 0 <= value < len(classes)):
        raise ValueError(f"void={void} has {wrong}, which classes names {[classes[value] for value in wrong]}; name it once")
    pairs, problems = find_pairs(images, annotations)
    labels = Labels(list(classes), [kind == "instance"] * len(classes))
    return Source(labels, pairs, lambda pair: make_row(*pair, kind, classes, void), lambda pair: list(pair[1:]), problems=problems)


def find_pairs(images: Path, masks: Path) -> tuple[list[tuple[str, Path, Path]], list[str]]:
    """Images and masks by their stems.

    Returns:
        Stem, image and mask of each pair, in the order of the stems; and a sentence for each file without a partner.

    Raises:
        ValueError: a folder is missing or empty, or two files of one have one stem.
    """
    photos, index_images = images_by_stem(images), images_by_stem(masks, MASK_SUFFIXES, "annotations")
    problems = []
    for files, partners, folder in ((photos, index_images, masks), (index_images, photos, images)):
        unpaired = sorted(files.keys() - partners.keys())
        problems += [f"{files[stem]} has no file of the same stem in {folder}. Add it, or take this one away." for stem in unpaired]
    return [(stem, photos[stem], index_images[stem]) for stem in sorted(photos.keys() & index_images.keys())], problems


def make_row(stem: str, image: Path, mask: Path, kind: str, classes: Sequence[str], void: Sequence[int]) -> dict:
    """The row of an image and its mask.

    Raises:
        BadSample: a file is missing or broken, or the mask has a value that is neither listed nor void.
    """
    values = read_indices(mask)
    present = np.unique(values).tolist()
    if kind == "semantic":
        table = {value: (value + 1, value) for value in present if value not in void}  # value -> id, class; id 0 is void
        unknown = [value for value in table if not 0 <= value < len(classes)]
        known = f"0..{len(classes) - 1} by classes and {sorted(void)} by void"
    else:
        table = {value: (value, 0) for value in present if value != 0}
        unknown = [value for value in table if not 0 < value < 1 << 16]
        known = "0 for background and ids up to 65535"
    if unknown:
        pixels = int(np.isin(values, unknown).sum())
        raise BadSample(f"{mask} has the values {unknown[:10]} in {pixels} pixels; known are {known}. Add them there, or mend it.")
    return {
        "image_id": stem,
        "image": encoded_file(image),
        "id_map": recoded_map(values, {value: new_id for value, (new_id, _) in table.items()}),
        "segments": [{"id": new_id, "category": label, "iscrowd": False} for new_id, label in table.values()],
    }
