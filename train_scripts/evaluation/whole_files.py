"""Files that are never half-written, also where their names are as long as a name may be."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL = ".partial"  # suffix of what is being written


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """The path to write a file's content to, which takes the file's own path when all of it is written.

    It lies in the same folder, which is made if need be. Its name is short and always the same: what an interrupted run has left
    is replaced by the next.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{hashlib.blake2s(os.fsencode(path.name), digest_size=8).hexdigest()}{PARTIAL}")
    try:
        yield part
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
