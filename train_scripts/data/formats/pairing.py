"""Images and their masks by the names of the files, in two folders or in one.

The name of a mask is that of its image, or that with a suffix such as `_mask`; the image's name may have a suffix, too, such as
`_0000`, and both may have a prefix, such as `image_` and `mask_`. A folder has masks of one suffix: all of them must have it.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from eomt.train_scripts.data.formats.image_files import IMAGE_SUFFIXES, composed, files_below, stem_below, walk
from eomt.train_scripts.data.formats.index_images import LOSSY_SUFFIXES, MASK_SUFFIXES

Pair = tuple[str, Path, Path]  # stem of the image, image, mask

IMAGE_ENDS = ("_0000", "_leftImg8bit", "_image", "_img", "_im", "_rgb", "_RGB", "_sat", "_photo", "-image", "-img", ".image")
PICTURES = re.compile(r"[_\-. ](colou?r(ed|s|Ids)?|vis|viz|overlay|blend|preview|visuali[sz]ation|pseudo)", re.IGNORECASE)
MASK_ENDS = re.compile(
    r"[_\-. ]+((gt|seg|semantic|class|instance|gtFine|gtCoarse|manual|training|bin|binary|png)[_\-. ]?)*"
    r"(masks?|labels?|labelIds|labelTrainIds|gt|segmentations?|seg|annotations?|ann|ground[_-]?truth|matte|trimap|classes|class|"
    r"manual\d*|label_?ids?|L|P|GT|m|mask_?\d?)",
    re.IGNORECASE,
)
NUMBERED = re.compile(r"\s+-?[01]$")  # a line of a list, as Pascal VOC marks what an image has
PREFIX = re.compile(r"^(images?|imgs?|photos?|masks?|labels?|gt|seg|segmentation|annotations?|sat|map)[_\- ]?(?=.)", re.IGNORECASE)


def find_pairs(
    images: Path, masks: Path, suffix: str | None = None, stems: Iterable[str] | None = None
) -> tuple[list[Pair], list[str]]:
    """
    Args:
        images, masks: two folders, one that has both, or two files.
        suffix: that the stems of masks have beyond those of their images; None to infer it.
        stems: of the images that are meant, as a list of a split gives them; None for all.

    Returns:
        Stem, image and mask of each pair, in the order of the stems; and a sentence for each file without a partner.

    Raises:
        ValueError: a folder is missing or empty, two files of one have one stem, or it can't be determined which masks are meant.
    """
    if images.is_file() and masks.is_file():
        return [(images.stem, images, masks)], []
    if images.resolve() == masks.resolve():
        photos, index_images, suffix = _in_one_folder(images, suffix)
    else:
        photos = _by_stem(files_below(images), images, without=masks)
        index_images = _by_stem(mask_files(masks), masks, without=images, with_inner_suffix=True)
    of_photo, of_mask = _matched_names(photos, index_images, suffix, masks)
    if stems is not None:
        chosen = {composed(stem) for stem in stems}
        of_photo = {key: stem for key, stem in of_photo.items() if key in chosen or stem in chosen}
        of_mask = {key: stem for key, stem in of_mask.items() if key in chosen or key in of_photo}
    problems = [
        f"{photos[of_photo[key]]} has no mask{f' that ends in {suffix}' if suffix else ' of the same stem'} in {masks}. Add it, or "
        "take this image away."
        for key in sorted(of_photo.keys() - of_mask.keys())
    ]
    problems += [
        f"{index_images[of_mask[key]]} has no image of the same stem in {images}. Add it, or take this mask away."
        for key in sorted(of_mask.keys() - of_photo.keys())
    ]
    keys = sorted(of_photo.keys() & of_mask.keys(), key=lambda key: of_photo[key])
    if not keys:
        raise ValueError(
            f"annotations={masks} has no mask whose stem is that of an image in {images}; there are {_some(photos)} and "
            f"{_some(index_images)}. Give what the stems of masks have beyond those of images by --mask_suffix, or rename them"
        )
    if stems is not None and (missing := sorted(chosen - of_photo.keys() - set(of_photo.values()))):
        problems += [
            f"{stem} is in the list of the split, but {images} has no such image. Add it, or strike it out." for stem in missing
        ]
    names = {key: _name_on_disk(photos[of_photo[key]], images, key, of_photo[key]) for key in keys}
    return [(names[key], photos[of_photo[key]], index_images[of_mask[key]]) for key in keys], problems


def mask_files(folder: Path) -> list[Path]:
    """The masks of a folder and its subfolders. JPEG files count only where there is nothing else, to be refused by name later.

    Raises:
        ValueError: the folder is missing or empty.
    """
    try:
        return files_below(folder, MASK_SUFFIXES, "annotations")
    except ValueError:
        if not folder.is_dir():
            raise
        return files_below(folder, (*MASK_SUFFIXES, *LOSSY_SUFFIXES), "annotations")


def listed_stems(path: Path, folder: Path) -> list[str]:
    """The stems in a list of a split. Some tools write quotes, a suffix, or a number behind a stem, or folders that aren't there.

    Args:
        path: of the list.
        folder: of the images or masks. A number behind a stem is a part of it if a file there has that name.
    """
    lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    numbered = any(map(NUMBERED.search, lines))
    known = {composed(stem_below(file, folder)) for file in walk(folder)} if numbered else ()
    stems = []
    for line in lines:
        whole, cut = (_less_suffix(text.strip('"')) for text in (line, NUMBERED.sub("", line)))
        stem = whole if composed(whole) in known else cut
        stems.append(stem if (folder / stem.lstrip("/")).parent.is_dir() else PurePosixPath(stem).name)
    return stems


def lists_masks(path: Path, masks: Path) -> bool:
    """Whether a list of a split names a mask that is there."""
    known = {_less_suffix(composed(stem_below(file, masks))) for file in mask_files(masks)}
    return any(composed(stem) in known for stem in listed_stems(path, masks))


def matched_suffix(photos: Iterable[str], masks: Iterable[str]) -> tuple[str, int]:
    """What most of `masks` have beyond one of `photos`, and how many have it; nothing if none does."""
    known, counts = set(photos), Counter()
    for mask in masks:
        for cut in range(len(mask) - 1, 0, -1):
            if mask[:cut] in known and (end := MASK_ENDS.match(mask[cut:])) and end.end() == len(mask) - cut:
                counts[mask[cut:]] += 1
    [(suffix, count)] = counts.most_common(1) or [("", 0)]
    return suffix, count


def _in_one_folder(folder: Path, suffix: str | None) -> tuple[dict[str, Path], dict[str, Path], str]:
    """Images, masks, and the suffix of the masks, of a folder that has both.

    Raises:
        ValueError: no file is recognised as the mask of another.
    """
    files = files_below(folder, tuple(dict.fromkeys((*IMAGE_SUFFIXES, *MASK_SUFFIXES))))
    stems = {path: composed(stem_below(path, folder)) for path in files}
    bare = [stem.removesuffix(end) for stem in stems.values() for end in IMAGE_ENDS if stem.endswith(end)]
    suffix = (
        suffix
        or matched_suffix([*stems.values(), *bare], set(stems.values()) - {f"{stem}{end}" for stem in bare for end in IMAGE_ENDS})[
            0
        ]
    )
    if suffix:
        masks = [path for path in files if stems[path].endswith(suffix)]
        photos = [path for path in files if not stems[path].endswith(suffix)]
        return _by_stem(photos, folder), _by_stem(masks, folder), suffix
    jpegs = {stems[path] for path in files if path.suffix.lower() in LOSSY_SUFFIXES}
    masks = [path for path in files if path.suffix.lower() in MASK_SUFFIXES and stems[path] in jpegs]
    if not masks:
        raise ValueError(
            f"annotations={folder} is the folder of the images, and no file there is named as the mask of another, such as "
            "a_mask.png for a.jpg. Give what the stems of masks have beyond those of images by --mask_suffix"
        )
    return _by_stem([path for path in files if path.suffix.lower() in LOSSY_SUFFIXES], folder), _by_stem(masks, folder), ""


def _by_stem(files: Iterable[Path], folder: Path, without: Path | None = None, with_inner_suffix: bool = False) -> dict[str, Path]:
    """Files by their stems below a folder, those aside that lie in the folder `without`, which may be a part of it.

    With `with_inner_suffix`, a stem that is the whole name of an image counts as the stem of that.

    Raises:
        ValueError: two files differ in their suffix alone.
    """
    inside = without is not None and without != folder and without.is_relative_to(folder)
    by_stem = {}
    for path in files:
        if inside and path.is_relative_to(without):
            continue
        stem = composed(stem_below(path, folder))
        stem = _less_suffix(stem) if with_inner_suffix else stem
        if stem in by_stem:
            raise ValueError(
                f"{by_stem[stem]} and {path} have one stem, so that which file belongs to which can't be determined. Take one away."
            )
        by_stem[stem] = path
    return by_stem


def _less_suffix(stem: str) -> str:
    """The stem of an image in that of its mask, where that has the whole name of the image: a.jpg.png of a.jpg."""
    return str(PurePosixPath(stem).with_suffix("")) if PurePosixPath(stem).suffix.lower() in IMAGE_SUFFIXES else stem


def _matched_names(
    photos: Mapping[str, Path], masks: Mapping[str, Path], suffix: str | None, folder: Path
) -> tuple[dict[str, str], dict[str, str]]:
    """{name that image and mask share: stem} of the images, and of the masks.

    Raises:
        ValueError: masks of several suffixes have images.
    """
    if suffix is not None:
        ends = [end for end in ("", *IMAGE_ENDS) if all(stem.endswith(end) for stem in photos)]
        of_mask = {stem.removesuffix(suffix): stem for stem in masks if stem.endswith(suffix)}
        tries = [{stem.removesuffix(end): stem for stem in photos} for end in ends]
        return max(tries, key=lambda of_photo: len(of_photo.keys() & of_mask.keys())), of_mask
    if photos.keys() & masks.keys():
        pictures = {stem for stem in masks if stem not in photos and any(PICTURES.match(end) for end in _ends(stem, photos))}
        return {stem: stem for stem in photos}, {stem: stem for stem in masks if stem not in pictures}
    for end in ("", *IMAGE_ENDS):
        if all(stem.endswith(end) for stem in photos):
            of_photo = {stem.removesuffix(end): stem for stem in photos}
            if of_photo.keys() & masks.keys():
                return of_photo, {stem: stem for stem in masks}
            if inferred := _inferred_suffix(of_photo, masks, folder):
                return of_photo, {stem.removesuffix(inferred): stem for stem in masks if _has_kind(stem, inferred, of_photo)}
    of_photo, of_mask = ({_bare(stem): stem for stem in stems} for stems in (photos, masks))
    if len(of_photo) == len(photos) and len(of_mask) == len(masks) and of_photo.keys() & of_mask.keys():
        return of_photo, of_mask
    return {stem: stem for stem in photos}, {stem: stem for stem in masks}


def _has_kind(stem: str, suffix: str, of_photo: Mapping[str, str]) -> bool:
    """Whether a mask is of the suffix, or of none that a picture beside it might have."""
    ends = [end for end in _ends(stem, of_photo) if end != suffix]
    return stem.endswith(suffix) or not ends


def _ends(stem: str, names: Iterable[str]) -> list[str]:
    known = names if isinstance(names, Mapping | set) else set(names)
    return [stem[cut:] for cut in range(len(stem) - 1, 0, -1) if stem[:cut] in known]


def _inferred_suffix(of_photo: Mapping[str, str], masks: Mapping[str, Path], folder: Path) -> str:
    """The one suffix of masks whose names begin with that of an image; nothing if none begins so.

    Raises:
        ValueError: there are several.
    """
    counts = Counter(end for stem in masks for end in _ends(stem, of_photo) if re.match(r"[_\-. ]+[^\W\d_]", end))
    candidates = [end for end in counts if not PICTURES.match(end)] or list(counts)
    full = [end for end in candidates if counts[end] >= max(counts[other] for other in candidates)]
    if len(full) > 1 or len(candidates) > 1 and len(counts) > len(of_photo):
        raise ValueError(
            f"annotations={folder} has several masks of an image, which end in {', '.join(sorted(candidates)[:5])}. Choose those "
            f"that are meant, as in --mask_suffix {max(full, key=lambda end: (bool(MASK_ENDS.fullmatch(end)), end))}"
        )
    return full[0] if full else ""


def _bare(stem: str) -> str:
    """A stem without what tells images from masks at the beginning of the name."""
    path = PurePosixPath(stem)
    return (path.parent / PREFIX.sub("", path.name)).as_posix()


def _name_on_disk(path: Path, folder: Path, key: str, stem: str) -> str:
    """The stem of an image as it is stored, without an end that masks don't share."""
    on_disk = path.stem if folder.is_file() else stem_below(path, folder)
    return on_disk[: len(key) - len(stem) or None] if stem.startswith(key) else on_disk


def _some(files: Mapping[str, Path]) -> str:
    return ", ".join(path.name for path in list(files.values())[:2])
