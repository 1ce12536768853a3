"""Converts a folder of images and one of masks with the same stems to a dataset of `eomt.train_scripts.data`.

    python train_scripts/mask_folder.py --images photos --masks masks --out data/street --split train \
        --kind semantic --classes sky,road,car --void 255 --val_share 0.2
    python train_scripts/mask_folder.py --images cells --masks cell_ids --out data/cells --split train \
        --kind instance --classes nucleus --val_share 0.25

A mask of kind semantic holds class indices, one of kind instance ids of objects of one class with 0 for background; 8-bit or
16-bit grey, or a palette, whose indices count. Images are stored as they are. Everything is checked before anything is written.
"""

import argparse
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from eomt.train_scripts.data import LABELS_FILE, Labels, check_split_is_new, write_labels, write_split
from eomt.train_scripts.samples import VOID, decode_row

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")
MASK_SUFFIXES = IMAGE_SUFFIXES[2:]  # JPEG changes values
KINDS = ("semantic", "instance")


def find_pairs(images: str | Path, masks: str | Path) -> list[tuple[Path, Path]]:
    """Each image and its mask, in the order of their stems.

    Raises:
        ValueError: a folder is missing or empty, an image or mask has no partner, or two files of a folder have one stem.
    """
    found = [_by_stem(Path(images), "images", IMAGE_SUFFIXES), _by_stem(Path(masks), "masks", MASK_SUFFIXES)]
    for own, other, name in ((*found, masks), (*found[::-1], images)):
        if alone := sorted(own.keys() - other.keys()):
            more = f" (and {len(alone) - 1} more)" if len(alone) > 1 else ""
            raise ValueError(f"{own[alone[0]]}{more} has no file of the same stem in {name}. Add it, or take this one away.")
    return [(found[0][stem], found[1][stem]) for stem in sorted(found[0])]


def _by_stem(folder: Path, name: str, suffixes: Sequence[str]) -> dict[str, Path]:
    if not folder.is_dir():
        raise ValueError(f"{name}={folder}: no such folder.")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes)
    if not files:
        raise ValueError(f"{name}={folder} has no file that ends in {', '.join(suffixes)}.")
    by_stem = {}
    for path in files:
        if path.stem in by_stem:
            raise ValueError(f"{by_stem[path.stem]} and {path} have one stem, so that partners can't be told. Take one away.")
        by_stem[path.stem] = path
    return by_stem


def read_indices(path: Path) -> np.ndarray:
    """(H, W) values of a mask, of a palette its indices.

    Raises:
        ValueError: the file is broken or holds colours.
    """
    try:
        with Image.open(path) as image:
            image.load()
            if image.mode in ("1", "L", "P", "I") or image.mode.startswith("I;16"):
                return np.asarray(image).astype(np.int64)
            mode = image.mode
    except (OSError, SyntaxError) as error:  # PIL reports some broken files as a SyntaxError
        raise ValueError(f"{path}: can't be read as an image ({error}). Store it again.") from error
    raise ValueError(f"{path} has the mode {mode}, colours. Store the indices as 8-bit or 16-bit grey, or with a palette.")


def make_row(image: Path, mask: Path, kind: str, classes: Sequence[str], void: Sequence[int]) -> dict:
    """One row of the dataset; raises ValueError naming the file for unknown values, another size, and broken files."""
    values = read_indices(mask)
    present, places = np.unique(values, return_inverse=True)
    present = present.tolist()
    if kind == "semantic":
        table = {value: (value + 1, value) for value in present if value not in void}  # value -> id, class: id 0 is void
        unknown = [value for value in table if not 0 <= value < len(classes)]
        known = f"0..{len(classes) - 1} by classes and {sorted(void)} by void"
    else:
        table = {value: (value, 0) for value in present if value != 0}
        unknown = [value for value in table if not 0 < value < 1 << 16]
        known = "0 for background and ids up to 65535"
    if unknown:
        pixels = int(np.isin(values, unknown).sum())
        raise ValueError(f"{mask} has the values {unknown[:10]} in {pixels} pixels; known are {known}. Add them there, or mend it.")
    new_ids = np.array([table.get(value, (VOID, None))[0] for value in present], dtype=np.uint16)
    row = {
        "image_id": image.stem,
        "image": {"bytes": image.read_bytes(), "path": image.name},
        "id_map": _png(new_ids[places.reshape(values.shape)]),
        "segments": [{"id": new_id, "category": label, "iscrowd": False} for new_id, label in table.values()],
    }
    decode_row(row, len(classes), f"{image} and {mask}")
    return row


def _png(ids: np.ndarray) -> dict:
    stream = io.BytesIO()
    Image.fromarray(ids.astype(np.uint8) if ids.max(initial=0) < 256 else ids).save(stream, "PNG")
    return {"bytes": stream.getvalue(), "path": None}


def convert(
    images: str | Path,
    masks: str | Path,
    out: str | Path,
    split: str,
    kind: str,
    classes: Sequence[str],
    void: Sequence[int] = (),
    val_share: float = 0.0,
    val_split: str = "val",
) -> dict[str, int]:
    """Writes a split, or two, and labels.json into `out`.

    Args:
        images, masks: folders.
        out: folder of the dataset; it may hold other splits with the same classes.
        split: name of the new split.
        kind: "semantic": masks of class indices, all classes are stuff. "instance": of ids of things of one class.
        classes: names in the order of their indices.
        void: values of semantic masks that are no class.
        val_share: of the images, in sorted order each k-th, goes to a second split, where k is 1 / val_share, rounded.
        val_split: its name.

    Returns:
        {split: number of images}.

    Raises:
        ValueError: a file is missing or malformed, an argument is, or `out` has such a split or other classes already.
    """
    _check(kind, classes, void)
    parts = _share_out(find_pairs(images, masks), split, val_share, val_split)
    labels, out = Labels(list(classes), [kind == "instance"] * len(classes)), Path(out)
    for name in parts:
        check_split_is_new(out, name)
    if (out / LABELS_FILE).is_file():
        write_labels(out, labels)  # only compares
    for image, mask in tqdm([pair for own in parts.values() for pair in own], desc="checking", unit="image"):
        make_row(image, mask, kind, classes, void)
    for name, own in parts.items():
        write_split(out, name, (make_row(*pair, kind, classes, void) for pair in own), len(own))
    write_labels(out, labels)
    return {name: len(own) for name, own in parts.items()}


def _check(kind: str, classes: Sequence[str], void: Sequence[int]) -> None:
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r} is unknown; choose one of {', '.join(KINDS)}")
    if not classes or len(set(classes)) < len(classes) or not all(classes):
        raise ValueError(f"classes={list(classes)} must be one or more names, each once")
    if kind == "instance" and (len(classes) > 1 or void):
        raise ValueError(f"classes={list(classes)}, void={list(void)}: kind='instance' has one class, and 0 is background; no void")
    if wrong := sorted(value for value in void if 0 <= value < len(classes)):
        raise ValueError(f"void={list(void)} has {wrong}, which classes names {[classes[value] for value in wrong]}; name it once")


def _share_out(pairs: list[tuple[Path, Path]], split: str, val_share: float, val_split: str) -> dict[str, list[tuple[Path, Path]]]:
    if not val_share:
        return {split: pairs}
    if not 0 < val_share <= 0.5 or split == val_split:
        raise ValueError(f"val_share={val_share} must lie in 0..0.5, and val_split={val_split!r} differ from split={split!r}")
    step = round(1 / val_share)
    if len(pairs) < step:
        raise ValueError(f"val_share={val_share} needs {step} images, but there are {len(pairs)}; give a larger share, or none")
    return {split: [pair for i, pair in enumerate(pairs) if i % step != step - 1], val_split: pairs[step - 1 :: step]}


def class_names(text: str) -> list[str]:
    """`sky,road`, or the lines of a text file of that name."""
    names = Path(text).read_text().splitlines() if Path(text).is_file() else text.split(",")
    return [name.strip() for name in names if name.strip()]


def main() -> None:
    parser = argparse.ArgumentParser(description="Converts folders of images and masks to parquet shards.")
    parser.add_argument("--images", required=True, help="folder of the images")
    parser.add_argument("--masks", required=True, help="folder of the masks, with the images' stems")
    parser.add_argument("--out", required=True, help="folder of the dataset")
    parser.add_argument("--split", default="train", help="name of the split")
    parser.add_argument("--kind", required=True, choices=KINDS, help="what a mask's values are: classes, or ids of objects")
    parser.add_argument("--classes", required=True, help="names by index, with commas between, or a text file of a name a line")
    parser.add_argument("--void", type=int, nargs="+", default=[], help="values that are no class")
    parser.add_argument("--val_share", type=float, default=0.0, help="share of the images for a second split: each k-th")
    parser.add_argument("--val_split", default="val", help="name of the second split")
    args = parser.parse_args()
    counts = convert(**{**vars(args), "classes": class_names(args.classes)})
    print(", ".join(f"{name}: {count} images" for name, count in counts.items()) + f" in {args.out}")


if __name__ == "__main__":
    main()
