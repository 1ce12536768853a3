"""One mask for each object: every pixel that isn't 0 is of it. The objects are of one class, and may overlap.

The masks of an image lie in a folder of its own (`a/images/a.png`, `a/masks/*.png`, as in the Data Science Bowl of 2018), in a
folder named as the image (`images/a.jpg`, `masks/a/*.png`), or have numbered names (`masks/a_1.png`).

Shapes: H, W pixels.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pycocotools import mask as coco_mask

from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.formats.image_files import IMAGE_SUFFIXES, composed, files_below, image_size, stem_below
from eomt.train_scripts.data.formats.index_images import MASK_SUFFIXES, read_indices
from eomt.train_scripts.data.formats.orientation import TURNED, mask_turns, turned
from eomt.train_scripts.data.formats.pairing import mask_files
from eomt.train_scripts.data.formats.segment_rows import row_of_masks
from eomt.train_scripts.data.formats.source import Source

ObjectSet = tuple[str, Path, list[Path]]  # stem, image, and a mask of each object

NUMBERED = re.compile(r"([_\-. ]*(masks?|obj(ect)?|inst(ance)?|seg(ment)?|cell|nucleus))?[_\-. ]+\d+", re.IGNORECASE)
TAGGED = re.compile(r"task-\d+-annotation-.*-tag-.*")  # Label Studio's brush masks


def object_sets(images: Path, masks: Path, suffix: str | None = None) -> tuple[list[ObjectSet], list[str]] | None:
    """
    Args:
        images, masks: two folders; one folder that has one of its own for each image.
        suffix: of masks, if it is given; then an image has one mask.

    Returns:
        Stem, image and masks of each image, and a sentence for each file without a partner; None if masks are of whole images.
    """
    if images.is_file() or suffix is not None or not images.is_dir() or not masks.is_dir():
        return None
    if images == masks:
        return _sets_in_folders(images)
    photos = {composed(stem_below(path, images)): path for path in files_below(images) if not path.is_relative_to(masks)}
    stems = {path: composed(stem_below(path, masks)) for path in mask_files(masks)}
    if not photos or photos.keys() & set(stems.values()):
        return None
    of_stem: dict[str | None, list[Path]] = {}
    for path, stem in stems.items():
        of_stem.setdefault(_owner(stem, photos), []).append(path)
    lost = of_stem.pop(None, [])
    if max(map(len, of_stem.values()), default=0) < 2:
        return None
    problems = [
        f"{photos[stem]} has no mask in {masks}. Add some, or take the image away." for stem in photos if stem not in of_stem
    ]
    problems += [f"{path} is named as no image in {images}. Take it away." for path in lost]
    return [(stem_below(photos[stem], images), photos[stem], of_stem[stem]) for stem in sorted(of_stem)], problems


def folders_of_images(folder: Path) -> list[Path]:
    """The subfolders that have a folder `images` of one image and a folder `masks`: named as the image, or several that have more
    than one mask."""
    homes = sorted(path.parent for path in folder.glob("*/masks"))
    homes = [home for home in homes if len(_visible(home / "images", IMAGE_SUFFIXES)) == 1]
    named = [home for home in homes if _visible(home / "images", IMAGE_SUFFIXES)[0].stem == home.name]
    several = [home for home in homes if home in named or len(_visible(home / "masks", MASK_SUFFIXES)) > 1]
    return several if named or len(several) > 1 else []


def _visible(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """The files of a folder, hidden ones aside; none if there is no such folder."""
    return sorted(path for path in folder.glob("*") if path.suffix.lower() in suffixes and path.name[0] != ".")


def object_source(sets: list[ObjectSet], problems: list[str], name: str, choice: str | None = None) -> Source:
    """The source of images with a mask for each object.

    Args:
        sets, problems: as [`object_sets`] gives them.
        name: of the class.
        choice: `mask_orientation`; see [`mask_turns`]. The masks of an image lie as its first one does.

    Raises:
        ValueError: how masks lie must be given.
    """
    turns = mask_turns([(stem, photo, masks[0]) for stem, photo, masks in sets], choice)
    items = [(*item, turns.get(item[0], 1)) for item in sets]
    return Source(Labels([name], [True]), items, _row, lambda item: [item[1], *item[2]], problems=problems)


def tagged_masks(masks: Path) -> None:
    """
    Raises:
        ValueError: the masks are Label Studio's, whose names don't say of which image they are.
    """
    names = [path.name for path in masks.iterdir() if TAGGED.fullmatch(path.stem)] if masks.is_dir() else []
    if names:
        raise ValueError(
            f"annotations={masks} has Label Studio's brush masks, such as {names[0]}: they are named by the number of the task, so "
            "that their images can't be determined. Export the project as JSON, and give that file by --annotations"
        )


def _owner(stem: str, photos: dict[str, Path]) -> str | None:
    """The stem of the image that a mask is of: a folder above it, or what its name begins with."""
    parts = stem.split("/")
    above = ["/".join(parts[:count]) for count in range(len(parts) - 1, 0, -1)]
    begins = [stem[:cut] for cut in range(len(stem) - 1, 0, -1) if NUMBERED.fullmatch(stem[cut:])]
    return next((name for name in [*above, *begins] if name in photos), None)


def _sets_in_folders(folder: Path) -> tuple[list[ObjectSet], list[str]] | None:
    homes = folders_of_images(folder)
    if not homes:
        return None
    sets, problems = [], []
    for home in homes:
        [photo] = _visible(home / "images", IMAGE_SUFFIXES)
        masks = _visible(home / "masks", MASK_SUFFIXES)
        if masks:
            sets.append((stem_below(photo, folder), photo, masks))
        else:
            problems.append(f"{photo} has no mask in {home / 'masks'}. Add some, or take the image away.")
    stems = [Path(stem).name for stem, _, _ in sets]
    if len(set(stems)) == len(stems):
        sets = [(stem, photo, masks) for stem, (_, photo, masks) in zip(stems, sets, strict=True)]
    return sets, problems


def _row(item: tuple[str, Path, list[Path], int]) -> dict:
    stem, photo, paths, turn = item
    size = image_size(photo)
    masks = []
    for path in paths:
        values = turned(read_indices(path), turn)
        if values.shape != size:
            raise BadSample(
                f"{path} is {values.shape[1]} x {values.shape[0]} pixels, but the (upright) image {photo} {size[1]} x {size[0]}. "
                "They must have one size; export the mask for this image."
            )
        if len(np.unique(values)) > 2:
            raise BadSample(
                f"{path} has the values {np.unique(values).tolist()[:10]}; the mask of one object has 0 and one other. Export it "
                "without smoothing."
            )
        masks.append(coco_mask.encode(np.asfortranarray(values != 0, dtype=np.uint8)) if values.any() else None)
    row = row_of_masks(stem, photo, size, masks, [0] * len(masks), [False] * len(masks))
    return {**row, "repaired": {TURNED: 1} if turn != 1 else {}}
