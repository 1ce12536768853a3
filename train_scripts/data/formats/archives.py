"""Zip files as they are downloaded: unpacked into a folder beside the dataset that is prepared, and removed when that is there."""

import hashlib
import shutil
import zipfile
from pathlib import Path

from eomt.train_scripts.data.formats.image_files import is_hidden

DONE = ".unpacked"  # appears in a folder when all of its archive is there


def is_archive(path: Path) -> bool:
    """Whether a path is of a zip file."""
    return path.suffix.lower() == ".zip" and path.is_file()


def unpacked(path: Path, out: str | Path) -> Path:
    """The content of a zip file; a folder or another file is given back as it is.

    What an interrupted run has unpacked is kept for the next, as long as the archive isn't changed.

    Args:
        path: of a file or folder.
        out: the folder that is prepared.

    Returns:
        The folder that the archive was unpacked to.

    Raises:
        ValueError: the archive is broken or encrypted, or has a file that would lie outside the folder.
    """
    if not is_archive(path):
        return path
    stat = path.stat()
    state = hashlib.sha256(repr((str(path.resolve()), stat.st_size, stat.st_mtime_ns)).encode()).hexdigest()[:12]
    folder = _home(out) / f"{path.stem}-{state}"
    if not (folder / DONE).is_file():
        shutil.rmtree(folder, ignore_errors=True)
        _unpack(path, folder)
        (folder / DONE).touch()
    return folder


def innermost(path: Path) -> Path:
    """What a folder has that holds nothing but one folder or one file, however deep; else the path itself."""
    while (inner := only_entry(path)) is not None:
        path = inner
    return path


def only_entry(folder: Path) -> Path | None:
    """The one folder or file of a folder that has nothing else, hidden ones aside."""
    entries = [entry for entry in folder.iterdir() if not is_hidden(Path(entry.name))] if folder.is_dir() else []
    return entries[0] if len(entries) == 1 else None


def remove_unpacked(out: str | Path) -> None:
    """Removes what was unpacked for a prepared folder."""
    shutil.rmtree(_home(out), ignore_errors=True)


def _home(out: str | Path) -> Path:
    out = Path(out).resolve()
    return out.with_name(f".{out.name}.unpacked")


def _opened(path: Path) -> zipfile.ZipFile:
    """The archive; names without a mark of their encoding are UTF-8, as a Mac writes them, where they can be."""
    try:
        return zipfile.ZipFile(path, metadata_encoding="utf-8")
    except UnicodeDecodeError:
        return zipfile.ZipFile(path)


def _unpack(path: Path, folder: Path) -> None:
    try:
        with _opened(path) as archive:
            for entry in archive.infolist():
                inside = (folder / entry.filename.replace("\\", "/")).resolve()
                if not inside.is_relative_to(folder.resolve()):
                    raise ValueError(f"{path} has the file {entry.filename!r}, which would lie outside the folder. Pack it again.")
                if entry.is_dir() or entry.filename.endswith("\\"):
                    continue
                inside.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as source, open(inside, "wb") as target:
                    shutil.copyfileobj(source, target)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:  # RuntimeError: it is encrypted
        raise ValueError(f"{path} can't be unpacked ({error}). Download it again, or unpack it and give the folder.") from error
