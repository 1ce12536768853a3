"""Files of images: those of a folder by their stems, and what readers take from one.

Shapes: H, W pixels.
"""

import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from PIL import Image

from eomt.train_scripts.data.bad_sample import BadSample

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".tif", ".tiff", ".bmp", ".webp", ".avif", ".gif")
IMAGE_SUFFIXES += (".jp2", ".pgm", ".ppm", ".pnm")
ORIENTATION = 0x0112  # the EXIF tag
TURNS = range(2, 9)  # orientations that change an image; some cameras write 0, which is none
QUARTERS = (5, 6, 7, 8)  # those that swap height and width
_TEXT_CHUNKS = (b"eXIf", b"iTXt", b"tEXt", b"zTXt")  # of a PNG, which may hold EXIF tags


def files_below(
    folder: Path, suffixes: Sequence[str] = IMAGE_SUFFIXES, name: str = "images", without: Collection[Path] = ()
) -> list[Path]:
    """The files of a folder and its subfolders, or the one file that is given, sorted; see [`walk`].

    Args:
        folder: in which they lie.
        suffixes: that they may have, in lower case.
        name: of the argument that is the folder, for error messages.
        without: folders that are passed over.

    Raises:
        ValueError: the folder is missing or has no such file.
    """
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise ValueError(f"{name}={folder}: no such folder.")
    files = [path for path in walk(folder, without) if path.suffix.lower() in suffixes]
    if not files:
        raise ValueError(f"{name}={folder} has no file that ends in {', '.join(suffixes)}.")
    return files


def walk(folder: Path, without: Collection[Path] = ()) -> Iterator[Path]:
    """The files of a folder and its subfolders, in the order of their paths; none if there is no such folder.

    Links to folders are followed, but for one to a folder that holds it. Hidden files and folders, and those that archives of a Mac
    add, are passed over. A link to nothing is given too, so that who opens it says that it is broken.

    Args:
        folder: in which they lie.
        without: subfolders that are passed over.
    """
    yield from _walk(folder, frozenset(path.resolve() for path in without) - {folder.resolve()})


def _walk(folder: Path, without: frozenset[Path]) -> Iterator[Path]:
    real = folder.resolve()
    if real in without or not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if is_hidden(Path(path.name)):
            continue
        if path.is_dir():
            yield from _walk(path, without | {real})
        else:
            yield path


def is_hidden(path: Path) -> bool:
    """Whether a path is of a file that people don't see or mean: hidden, or in a hidden folder or one that a Mac adds."""
    return any(part.startswith(".") and part not in (".", "..") or part == "__MACOSX" for part in path.parts)


def stem_below(path: Path, folder: Path) -> str:
    """The path of a file below a folder, without its suffix; the name alone if the folder is the file itself."""
    return (Path(path.name) if path == folder else path.relative_to(folder)).with_suffix("").as_posix()


def common_folder(folders: Iterable[Path]) -> Path:
    """The nearest folder that is or holds each of some, of which there is one at least."""
    folders = set(folders)
    first = next(iter(folders))
    return next(home for home in (first, *first.parents) if all(home == other or home in other.parents for other in folders))


def composed(stem: str) -> str:
    """A name in which an accent is one character with its letter. A Mac may store the same name in two."""
    return unicodedata.normalize("NFC", stem)


def images_by_stem(
    folder: Path, suffixes: Sequence[str] = IMAGE_SUFFIXES, name: str = "images", without: Collection[Path] = ()
) -> dict[str, Path]:
    """The files of a folder and its subfolders, by their stems; see [`files_below`].

    Returns:
        {path below `folder` without its suffix: file}, sorted.

    Raises:
        ValueError: the folder is missing or empty, or two files differ in their suffix alone.
    """
    by_stem = {}
    for path in files_below(folder, suffixes, name, without):
        stem = stem_below(path, folder)
        if stem in by_stem:
            raise ValueError(
                f"{by_stem[stem]} and {path} have one stem, so that which file belongs to which can't be determined. Take one away."
            )
        by_stem[stem] = path
    return by_stem


def check_names_differ(file_names: Iterable[str], annotations: Path) -> None:
    """Checks that names without their suffixes are unique, since they become the ids of the rows.

    Args:
        file_names: of an annotation file's entries.
        annotations: the file, for the error message.

    Raises:
        ValueError: two entries are of one file, or of files that differ in their suffix alone.
    """
    counts = Counter(Path(name).with_suffix("").as_posix() for name in file_names)
    if twice := [stem for stem, count in counts.items() if count > 1]:
        raise ValueError(
            f"annotations={annotations} has more than one entry of {twice[:5]}, suffixes aside. Merge those of one image, and give "
            "other images other names"
        )


def encoded_file(path: Path) -> dict:
    """An image file as a row stores it.

    Raises:
        BadSample: there is no such file.
    """
    _check_exists(path)
    return {"bytes": path.read_bytes(), "path": path.name}


def orientation_of(path: Path) -> int:
    """The EXIF orientation of an image file, 1 for none or an unknown one. Pixels are decoded only for a PNG with tags or text.

    Raises:
        BadSample: there is no such file, or it can't be read.
    """
    _check_exists(path)
    try:
        with Image.open(path) as image:
            if image.format == "PNG" and not _has_text(path):
                return 1
            orientation = image.getexif().get(ORIENTATION, 1)
            return orientation if orientation in TURNS else 1
    except Image.DecompressionBombError as error:
        raise too_large(path, error) from error
    except (OSError, SyntaxError) as error:  # PIL reports some broken files as a SyntaxError
        raise BadSample(f"{path}: can't be read as an image ({error}). Store it again, or take it away.") from error


def image_size(path: Path) -> tuple[int, int]:
    """(H, W) of an image file, turned by its EXIF orientation.

    Raises:
        BadSample: there is no such file, or it can't be read.
    """
    is_turned = orientation_of(path) in QUARTERS
    with Image.open(path) as image:
        # before an image is decoded, Pillow turns the size of a TIFF but not of a JPEG
        return image.size if is_turned and image.format != "TIFF" else image.size[::-1]


def too_large(path: Path, error: Image.DecompressionBombError) -> BadSample:
    """The error of an image that has more pixels than Pillow decodes."""
    return BadSample(f"{path}: has too many pixels ({error}). Cut image and annotations into tiles.")


def _check_exists(path: Path) -> None:
    if not path.is_file():
        raise BadSample(f"{path}: no such file. Give the folder that belongs to the annotations.")


def _has_text(path: Path) -> bool:
    """Whether a PNG has a chunk of tags or text. Its pixels are skipped."""
    with open(path, "rb") as file:
        file.seek(8)
        while len(header := file.read(8)) == 8:
            if header[4:] in _TEXT_CHUNKS:
                return True
            file.seek(int.from_bytes(header[:4], "big") + 4, 1)
    return False
