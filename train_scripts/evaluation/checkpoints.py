"""Whole checkpoints: a run that is killed while it writes one leaves no mark in it, and no run resumes from it.

The mark is a file that is written last and lists the sizes of all others.
"""

import json
import logging
import os
import re
from pathlib import Path

from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

AUTO = "auto"  # of `resume_from_checkpoint`: the last whole checkpoint of the output folder, or the beginning where there is none
FINISHED = "finished.json"  # in the output folder of a run that has ended
MARK = "whole.json"  # written last: the size in bytes of every other file
INTERIM = "interim"  # an empty file in a checkpoint that is only there to go on from, until the next one is whole
_NAME = re.compile(rf"{PREFIX_CHECKPOINT_DIR}-(\d+)")

logger = logging.getLogger(__name__)


def checkpoint_of(output_dir: str | Path, step: int) -> Path:
    """Where Trainer writes the checkpoint of a step."""
    return Path(output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{step}"


def is_checkpoint_folder(folder: Path) -> bool:
    """Whether a path is one that [`checkpoint_of`] gives."""
    return _NAME.fullmatch(folder.name) is not None


def checkpoints_of(output_dir: str | Path) -> list[Path]:
    """A run's checkpoints, whole or not, that of the most steps first."""
    named = [(int(match[1]), path) for path in Path(output_dir).glob("*") if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(named, reverse=True)]


def mark_whole(folder: str | Path) -> None:
    """Says that everything in a checkpoint's folder has been written.

    The mark comes into being by a rename, when the disk has all files: a machine that loses its power leaves no mark beside files
    that were still in memory.
    """
    folder = Path(folder)
    sizes = _sizes(folder)
    for name in sizes:
        _sync(folder / name)
    write_whole(folder / MARK, json.dumps(sizes, indent=1))


def write_whole(path: Path, text: str) -> None:
    """Writes a text file that is never half-written, and waits until the disk has it."""
    part = path.with_name(f".{path.name}.partial")
    part.write_text(text)
    _sync(part)
    os.replace(part, path)
    _sync(path.parent)


def sync_files(folder: Path) -> None:
    """Waits until the disk has the files of a folder, without those of folders in it."""
    for path in folder.iterdir():
        if path.is_file():
            _sync(path)


def _sync(path: Path) -> None:
    """Waits until the disk has a file, or the entries of a folder."""
    if os.name == "nt":  # which syncs no folder, and no file that is open for reading
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def unmark(folder: str | Path) -> None:
    """Takes the mark away, before anything in the folder is written anew."""
    (Path(folder) / MARK).unlink(missing_ok=True)


def is_interim(folder: Path) -> bool:
    """Whether a checkpoint, whole or not, is only there to go on from."""
    return (folder / INTERIM).is_file()


def check_whole(folder: str | Path) -> None:
    """Checks that a checkpoint can be resumed.

    Raises:
        ValueError: the folder is no checkpoint, or has no mark, or differs from what the mark says.
    """
    folder = Path(folder)
    given = f"resume_from_checkpoint={str(folder)!r}"
    if not folder.is_dir():
        raise ValueError(f"{given}: no such folder; give a {PREFIX_CHECKPOINT_DIR}-N of the output folder, or auto for the last")
    if not (folder / MARK).is_file():
        raise ValueError(
            f"{given} can't be resumed: it lacks {MARK}, so it is half-written, or of a run with save_only_model. Give another "
            "one, or auto for the last whole one; what has model files can be given as checkpoint, to start a new run from"
        )
    stored, present = json.loads((folder / MARK).read_text()), _sizes(folder)
    if wrong := sorted(name for name, size in stored.items() if present.get(name) != size):
        raise ValueError(f"{given} has lost or changed the files {wrong[:5]} since it was written; give another, or auto")


def last_whole(output_dir: str | Path) -> Path | None:
    """The checkpoint of the most steps that is whole; None if there is none. Those passed over are logged."""
    for path in checkpoints_of(output_dir):
        try:
            check_whole(path)
            return path
        except ValueError as error:
            logger.warning("passed over: %s", error)
    return None


def _sizes(folder: Path) -> dict[str, int]:
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name not in (MARK, f".{MARK}.partial"))
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths}
