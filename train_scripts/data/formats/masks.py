"""Images and masks of the same names. How the files are named and paired is in `pairing`, what they may be in `index_images`.

Kind "semantic": the values, or colours, are classes or void; see `mask_classes`. Kind "instance": the values are ids of objects of
one class, and 0 is background; or each object has a mask of its own, see `object_masks`.

Shapes: H, W pixels.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.choices import MASK_KINDS
from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.formats.image_files import encoded_file, image_size
from eomt.train_scripts.data.formats.index_images import MASK_SUFFIXES, read_indices, read_mask
from eomt.train_scripts.data.formats.mask_classes import (
    VOID,
    MaskClasses,
    class_indices,
    mask_classes,
    refuse_unnamed_background,
    refuse_void_object,
    values_of,
)
from eomt.train_scripts.data.formats.object_masks import object_sets, object_source, tagged_masks
from eomt.train_scripts.data.formats.orientation import TURNED, mask_turns, turned
from eomt.train_scripts.data.formats.pairing import find_pairs, listed_stems
from eomt.train_scripts.data.formats.segment_rows import encoded_ids, recoded_map
from eomt.train_scripts.data.formats.source import Options, Source

__all__ = ["MASK_SUFFIXES", "find_pairs", "read"]

Item = tuple[str, Path, Path, int]  # stem, image, mask, and the orientation by which the mask is turned


def read(images: Path, annotations: Path, options: Options) -> Source:
    """
    Raises:
        ValueError: an option is missing or wrong, a folder is missing or empty, or the masks can't be meant so.
    """
    kind = options.kind or ("semantic" if len(options.classes) > 1 else None)
    if kind not in MASK_KINDS:
        raise ValueError(
            f"kind={kind!r}: say what the values of {annotations} are, one of {', '.join(MASK_KINDS)}: --kind semantic with the "
            "names of all classes by --classes, or --kind instance, where they are ids of objects, with the one name of these"
        )
    if options.classes:
        classes = _checked_classes(options, kind)
    if (sets := object_sets(images, annotations, options.mask_suffix)) is not None:
        if options.classes and kind == "instance":
            return object_source(*sets, classes.names[0], options.mask_orientation)
        raise ValueError(
            f"annotations={annotations} has a mask for each object, not one for each image. Give --kind instance and the one name "
            "of the objects by --classes"
        )
    tagged_masks(annotations)
    stems = listed_stems(Path(options.image_list), images) if options.image_list else None
    pairs, problems = find_pairs(images, annotations, options.mask_suffix, stems)
    files = [mask for _, _, mask in pairs]
    if not options.classes:
        raise ValueError(_no_classes(annotations, files))
    turns = mask_turns(pairs, options.mask_orientation)
    items = [(*pair, turns.get(pair[0], 1)) for pair in pairs]
    if kind == "semantic":
        refuse_void_object(classes, files, options.void)
        refuse_unnamed_background(classes, files, options)
    make_row = _semantic_row(classes, files) if kind == "semantic" else _instance_row
    labels = Labels(classes.names, [kind == "instance"] * len(classes.names))
    return Source(labels, items, make_row, lambda item: list(item[1:3]), context=(kind, classes), problems=problems)


def _checked_classes(options: Options, kind: str) -> MaskClasses:
    classes = mask_classes(options)
    if kind == "instance" and (len(classes.names) > 1 or options.void):
        raise ValueError(
            f"classes={options.classes}, void={options.void}: kind='instance' has one class, and 0 is background; no void"
        )
    return classes


def _no_classes(annotations: Path, masks: Sequence[Path]) -> str:
    """What to do where no classes are given, with the values that there are."""
    values = sorted(values_of(masks[:20]))
    entries = ",".join(f"{value}:{'void' if value == 255 and len(values) > 2 else 'NAME'}" for value in values[:30])
    example = (
        f"; the masks have the values {values[:30]}, so as --classes {entries} with the names in place of NAME" if values else ""
    )
    return f"classes=[] must be one or more names, each once: say what the values of {annotations} are{example}"


def _semantic_row(classes: MaskClasses, files: Sequence[Path]) -> Callable[[Item], dict]:
    def make_row(item: Item) -> dict:
        stem, image, path, turn = item
        indices, repair = class_indices(read_mask(path), classes, path, lambda: files)
        indices = turned(indices, turn)
        _check_size(image, path, indices.shape)
        present = [index for index in np.unique(indices).tolist() if index != VOID]
        return {
            "image_id": stem,
            "image": encoded_file(image),
            "id_map": encoded_ids(indices + 1),  # id 0 is void
            "segments": [{"id": index + 1, "category": index, "iscrowd": False} for index in present],
            "repaired": {reason: 1 for reason in (repair, TURNED if turn != 1 else None) if reason},
        }

    return make_row


def _instance_row(item: Item) -> dict:
    stem, image, path, turn = item
    values = turned(read_indices(path), turn)
    _check_size(image, path, values.shape)
    present = [value for value in np.unique(values).tolist() if value != 0]
    if wrong := [value for value in present if not 0 < value < 1 << 16]:
        raise BadSample(
            f"{path} has the values {wrong[:10]}; allowed are 0 for background and ids up to 65535. Number the objects anew."
        )
    return {
        "image_id": stem,
        "image": encoded_file(image),
        "id_map": recoded_map(values, {value: value for value in present}),
        "segments": [{"id": value, "category": 0, "iscrowd": False} for value in present],
        "repaired": {TURNED: 1} if turn != 1 else {},
    }


def _check_size(image: Path, mask: Path, size: tuple[int, int]) -> None:
    """
    Raises:
        BadSample: the mask has another size than the upright image.
    """
    upright = image_size(image)
    if size == upright:
        return
    sizes = f"{mask} is {size[1]} x {size[0]} pixels, but the (upright) image {image} {upright[1]} x {upright[0]}."
    if abs(upright[0] / size[0] - upright[1] / size[1]) < 0.05 * upright[0] / size[0]:
        advice = (
            "Export masks in the size of the images, or scale one of the two; masks by the nearest neighbour, without smoothing."
        )
    else:
        advice = "The mask is of another image, or of a part or another turn of it. Export it for this one."
    raise BadSample(f"{sizes} They must have one size. {advice}")
