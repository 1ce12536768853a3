"""The splits of a dataset of masks, by the names of its folders: as tools export it, as challenges hand it out, as people name it.

`IMG` is one of `IMAGE_FOLDERS`, `MSK` one of `MASK_FOLDERS`, `SPLIT` one of `SPLIT_FOLDERS`:

- JPEGImages, SegmentationClass, ImageSets/Segmentation/SPLIT.txt (Pascal VOC, CVAT's "Segmentation mask 1.1", LabelMe)
- IMG and MSK; IMG/SPLIT and MSK/SPLIT; SPLIT/IMG and SPLIT/MSK
- SPLIT and SPLIT_masks, or SPLIT_images and SPLIT_masks
- imagesTr and labelsTr (nnU-Net)
- SPLIT with images and masks of one suffix; or all of them in the folder itself
- NAME/images and NAME/masks, with one image and a mask of each object; the same below SPLIT
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from eomt.train_scripts.data.formats.image_files import IMAGE_SUFFIXES, is_hidden, walk
from eomt.train_scripts.data.formats.index_images import LOSSY_SUFFIXES, MASK_SUFFIXES
from eomt.train_scripts.data.formats.object_masks import folders_of_images
from eomt.train_scripts.data.formats.pairing import lists_masks, matched_suffix
from eomt.train_scripts.data.formats.split import Split

SPLIT_NAMES = {  # folder -> split
    "training": "train",
    "validation": "val",
    "valid": "val",
    "testing": "test",
    "dev": "val",
    "stage1_train": "train",
    "stage1_test": "test",
}
SPLIT_FOLDERS = ("train", "val", "test", *SPLIT_NAMES)
IMAGE_FOLDERS = (
    "images",
    "image",
    "imgs",
    "img",
    "img_dir",
    "jpegimages",
    "photos",
    "pictures",
    "original_images",
    "inputs",
    "rgb",
)
MASK_FOLDERS = ("masks", "mask", "labels", "label", "annotations", "annotation", "ann_dir", "ann", "segmentationclass", "gt")
MASK_FOLDERS += ("segmentationclasspng", "groundtruth", "ground_truth", "targets", "segmentation", "segmentations", "seg")
MASK_FOLDERS += ("label_images_semantic", "labelled", "index_masks", "masks_machine")
MASK_ENDS = ("masks", "mask", "labels", "label", "annot", "annotations", "gt", "groundtruth", "ann", "seg")
CLASS_FILES = (
    "labelmap.txt",
    "_classes.csv",
    "class_dict.csv",
    "class_names.txt",
    "label_colors.txt",
    "classes.txt",
    "classes.csv",
)
CLASS_FILES += ("classes.json", "classes.yaml", "labels.txt", "label_names.txt", "codes.txt", "dataset.json", "id2label.json")
VOC_MASKS, VOC_BOUNDARY = ("SegmentationClass", "SegmentationClassPNG"), (255,)
VOC_NAME = re.compile(r"\d{4}_\d{6}")
VOC_LIST = "ImageSets/Segmentation"


def mask_splits(folder: Path) -> list[Split]:
    """The splits of a dataset's folder; none if it has no such layout."""
    for layout in (_voc, _two_folders, _in_splits, _beside_splits, _nnunet, _mixed, _objects):
        if splits := list(layout(folder)):
            return [replace(split, class_file=split.class_file or _class_file(split, folder)) for split in splits]
    return []


def masks_split(split: Split, name: str | None) -> Split:
    """A split of two folders that were given, with the file of classes and the list that lie beside them.

    Args:
        split: of images and masks.
        name: of the split, if one was given.

    Raises:
        ValueError: lists beside the masks share them out to several splits.
    """
    lists = voc_lists(split.annotations)
    if len(lists) > 1 and name not in lists:
        home = split.annotations.parent
        raise ValueError(
            f"annotations={split.annotations} has lists of the splits {', '.join(lists)} in {home / VOC_LIST}. For all of them "
            f"give --source {home} in place of --images and --annotations, or choose one by --split"
        )
    image_list = lists[name] if name in lists else next(iter(lists.values()), None)
    split = _as_voc(split) if split.annotations.name in VOC_MASKS else split
    return replace(split, image_list=image_list, class_file=split.class_file or _class_file(split, split.annotations.parent))


def split_name(name: str) -> str:
    """The split of a folder's name: `train` of train2017 and training, `val` of validation and valid."""
    bare = re.sub(r"^(train|val|test)\d+$", r"\1", name.lower())
    return SPLIT_NAMES.get(bare, bare if bare in SPLIT_FOLDERS else name)


def voc_lists(masks: Path) -> dict[str, Path]:
    """{split: its list of stems} beside a folder of masks as Pascal VOC has it. The union of train and val is left out."""
    lists = {path.stem: path for path in sorted((masks.parent / VOC_LIST).glob("*.txt"))}
    if {"train", "val"} <= lists.keys():
        lists.pop("trainval", None)
    return {"train" if stem == "default" else split_name(stem): path for stem, path in lists.items()}  # CVAT's only list


def has_masks(folder: Path) -> bool:
    """Whether a folder has files that masks may be, and no text files of labels."""
    names = list(walk(folder))
    masks = [path for path in names if path.suffix.lower() in (*MASK_SUFFIXES, *LOSSY_SUFFIXES)]
    texts = {path.stem for path in names if path.suffix.lower() in (".txt", ".json", ".xml")}
    return bool(masks) and not any(path.stem in texts for path in masks)


def _voc(folder: Path) -> Iterator[Split]:
    images = folder / "JPEGImages"
    masks = next((folder / name for name in VOC_MASKS if has_masks(folder / name)), None)
    if masks is None:
        return
    if not images.is_dir():
        raise ValueError(
            f"source={folder} has {masks.name}, but no images in JPEGImages. Export the images, too (CVAT: Save images)"
        )
    base = _as_voc(Split("train", "masks", images, masks))
    lists = voc_lists(masks)
    filled = [name for name, path in lists.items() if lists_masks(path, masks)]  # masks of tests aren't handed out
    if lists and not filled:
        raise ValueError(
            f"source={folder}: the lists {', '.join(path.name for path in lists.values())} in {folder / VOC_LIST} name no mask of "
            f"{masks}. Write the stems of its masks there, one a line, or take the lists away to have one split of all masks"
        )
    yield from (replace(base, name=name, image_list=lists[name]) for name in filled)
    if not lists:
        yield base


def _as_voc(split: Split) -> Split:
    """A split whose masks are as Pascal VOC has them: 255 is void, and images named as VOC's have its classes."""
    split = replace(split, kind="semantic", void=VOC_BOUNDARY)
    stems = [path.stem for path in split.annotations.glob("*.png")]
    is_voc = stems and all(VOC_NAME.fullmatch(stem) for stem in stems) and not _class_file(split, split.annotations.parent)
    return replace(split, class_file=Path(__file__).with_name("voc.yaml")) if is_voc else split


def _two_folders(folder: Path) -> Iterator[Split]:
    images, masks = _named(folder, IMAGE_FOLDERS), _named(folder, MASK_FOLDERS)
    pairs = [(image, mask) for image in images for mask in masks if has_masks(mask)]
    for image, mask in pairs:
        named = {split_name(path.name): path for path in _folders(image)}
        both = [
            (split_name(path.name), named[split_name(path.name)], path) for path in _folders(mask) if split_name(path.name) in named
        ]
        both = [(name, photos, labels) for name, photos, labels in both if has_masks(labels)]
        yield from (Split(name, "masks", photos, labels) for name, photos, labels in both)
        if not both:
            yield Split("train", "masks", image, mask)


def _in_splits(folder: Path) -> Iterator[Split]:
    for inner in _folders(folder):
        for image in _named(inner, IMAGE_FOLDERS):
            masks = [mask for mask in _named(inner, MASK_FOLDERS) if has_masks(mask)]
            if masks and (split_name(inner.name) in SPLIT_FOLDERS or not folders_of_images(folder)):
                yield from (Split(split_name(inner.name), "masks", image, mask) for mask in masks)


def _beside_splits(folder: Path) -> Iterator[Split]:
    inner = {path.name.lower(): path for path in _folders(folder)}
    for name in (*SPLIT_FOLDERS, ""):
        images = [inner.get(f"{name}{end}") for end in ("", "_images", "_imgs", "_image", "_img", "-images")]
        masks = [inner.get(f"{name}{mark}{end}") for end in MASK_ENDS for mark in ("_", "-", "")] if name else []
        images, masks = [path for path in images if path], [path for path in masks if path and has_masks(path)]
        if name and images and masks:
            yield Split(split_name(name), "masks", images[0], masks[0])


def _nnunet(folder: Path) -> Iterator[Split]:
    for end, name in (("Tr", "train"), ("Ts", "test")):
        images, masks = folder / f"images{end}", folder / f"labels{end}"
        if images.is_dir() and has_masks(masks):
            yield Split(name, "masks", images, masks, kind="semantic")


def _mixed(folder: Path) -> Iterator[Split]:
    """Images and masks in one folder, for each split or for all."""
    inner = [path for path in _folders(folder) if split_name(path.name) in SPLIT_FOLDERS and _is_mixed(path)]
    yield from (Split(split_name(path.name), "masks", path, path) for path in inner)
    if not inner and _is_mixed(folder):
        yield Split("train", "masks", folder, folder)


def _is_mixed(folder: Path) -> bool:
    """Whether each image directly in a folder, and nothing else, has a mask of one suffix there, or a PNG beside a JPEG."""
    files = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    pictures = [path for path in files if path.suffix.lower() in (*IMAGE_SUFFIXES, ".npy")]
    stems = [path.stem for path in pictures]
    if not pictures or any(path.suffix.lower() == ".json" and path.stem in stems for path in files):
        return False
    suffix, count = matched_suffix(stems, stems)
    jpegs = {path.stem for path in pictures if path.suffix.lower() in LOSSY_SUFFIXES}
    others = {path.stem for path in pictures if path.suffix.lower() in MASK_SUFFIXES}
    return count * 2 >= len(stems) * 0.8 if suffix else bool(jpegs) and len(jpegs & others) * 2 >= len(stems) * 0.8


def _objects(folder: Path) -> Iterator[Split]:
    if folders_of_images(folder):
        yield Split("train", "masks", folder, folder, kind="instance")
        return
    for inner in _folders(folder):
        if split_name(inner.name) in SPLIT_FOLDERS and folders_of_images(inner):
            yield Split(split_name(inner.name), "masks", inner, inner, kind="instance")


def _class_file(split: Split, folder: Path) -> Path | None:
    """The file of classes that lies in the dataset's folder, or in that of the split."""
    homes = dict.fromkeys((split.annotations, split.annotations.parent, folder))
    return next((home / name for home in homes for name in CLASS_FILES if (home / name).is_file()), None)


def _named(folder: Path, names: tuple[str, ...]) -> list[Path]:
    """The subfolders of one of the names, whatever their case."""
    return [path for path in _folders(folder) if path.name.lower() in names]


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.is_dir() and not is_hidden(Path(path.name)))
