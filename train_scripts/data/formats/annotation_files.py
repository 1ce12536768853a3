"""Json files of annotations, and the image files that they name as they lie on this machine."""

import functools
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from eomt.train_scripts.data.formats.converters import advice_for_file
from eomt.train_scripts.data.formats.image_files import IMAGE_SUFFIXES, composed, walk


def read_json(path: Path, argument: str = "annotations") -> Any:
    """The content of a json file of annotations.

    Args:
        path: of the file.
        argument: that names it, for messages.

    Raises:
        ValueError: the file is missing or broken.
    """
    if not path.is_file():
        raise ValueError(f"{argument}={path}: no such file.")
    if advice := advice_for_file(path):
        raise ValueError(f"{argument}={path} {advice}")
    return _read_version(path, path.stat().st_mtime_ns, argument)


@functools.lru_cache(maxsize=1)  # detection and reader both take it, and it may be large
def _read_version(path: Path, changed: int, argument: str) -> Any:
    """The file as it was at the time of its last change, which makes a changed file another entry of the cache."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{argument}={path} is not JSON in UTF-8 ({error}). Download or export it again.") from error


class NamedImages:
    """
    The image files of a folder, by the names that annotations have for them.

    A name may have another machine's folders, backslashes, `%20`, or be an address. The longest end of it that is a file below the
    folder is taken; else the one file of that name in any subfolder. Where the name states a subfolder that is there, the file must
    lie in it.

    Args:
        folder: of the images.

    Raises:
        ValueError: there is no such folder.
    """

    def __init__(self, folder: Path):
        if not folder.is_dir():
            raise ValueError(f"images={folder}: no such folder.")
        self.folder = folder

    def named(self, name: str, annotations: Path) -> tuple[str, Path]:
        """
        Args:
            name: by an annotation.
            annotations: the file that has it, for messages.

        Returns:
            The id of the image, which is its path without a suffix; and the file, which may be missing.

        Raises:
            ValueError: several files may be meant.
        """
        ends = name_ends(name)
        for end in ends:
            if (self.folder / end).is_file():
                return Path(end).with_suffix("").as_posix(), self.folder / end
        files = self._by_name.get(_key(ends[-1]), [])
        stated = {(self.folder / end).parent for end in ends} - {self.folder}
        if homes := [home for home in stated if home.is_dir()]:
            files = [file for file in files if any(file.is_relative_to(home) for home in homes)]
        if len(files) > 1:
            raise ValueError(
                f"annotations={annotations} names {name}, of which {self.folder} has several: {files[0]} and {files[1]}. Write the "
                "subfolder into the name, or give the subfolder by --images and its own annotations"
            )
        whole = ends[0]
        return Path(whole).with_suffix("").as_posix(), files[0] if files else self.folder / whole

    @functools.cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        by_name: dict[str, list[Path]] = {}
        for path in walk(self.folder):
            if path.suffix.lower() in IMAGE_SUFFIXES:
                by_name.setdefault(_key(path.name), []).append(path)
        return by_name


def _key(name: str) -> str:
    """Of a file's name: files that differ in case or in how accents are stored are one."""
    return composed(Path(name).name).casefold()


def name_ends(name: str) -> list[str]:
    """The paths that a name may mean below a folder, the longest first: `b/a.jpg`, `a.jpg` of `C:\\b\\a.jpg`."""
    spellings = [name, name.replace("\\", "/")]
    address = urlsplit(name) if "://" in name or "?" in name else None
    if address is not None:
        spellings += [*parse_qs(address.query).get("d", []), address.path]  # ?d= is Label Studio's, of a local file
    ends = [end for text in spellings for spelled in (text, unquote(text)) for end in _ends(spelled)]
    return list(dict.fromkeys(sorted(ends, key=lambda end: -end.count("/")))) or [name]


def _ends(text: str) -> Iterator[str]:
    parts = [part for part in text.split("/") if part not in ("", ".", "..")]
    return ("/".join(parts[start:]) for start in range(len(parts)))


def check_images_differ(names: Iterable[tuple[str, Path]], annotations: Path) -> None:
    """Checks that the ids of images, their names without suffixes, are unique, and that no two are of one file.

    Args:
        names: id and file of each image.
        annotations: the file that has them, for the message.

    Raises:
        ValueError: two entries are of one file, or of files that differ in their suffix alone.
    """
    names = list(names)
    ids, files = Counter(name for name, _ in names), Counter(path for _, path in names)
    twice = [name for name, count in ids.items() if count > 1] or [str(path) for path, count in files.items() if count > 1]
    if twice:
        raise ValueError(
            f"annotations={annotations} has more than one entry of {twice[:5]}, suffixes aside. Merge those of one image, and give "
            "other images other names"
        )
