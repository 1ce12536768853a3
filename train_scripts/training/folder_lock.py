"""One run at a time in an output folder."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from accelerate.utils import broadcast_object_list
from filelock import FileLock, Timeout
from transformers import TrainingArguments

from eomt.train_scripts.data.command import USER_ERRORS
from eomt.train_scripts.training.used_folder import LOCK, check_foreign

logger = logging.getLogger(__name__)
SECONDS = 10  # to wait for what is left of a run that was killed: its DataLoader workers notice within 5


@contextmanager
def only_run(args: TrainingArguments) -> Iterator[None]:
    """Keeps every other run out of the output folder until the end. All processes must enter it; the first holds the lock.

    Raises:
        ValueError: the folder holds something else than a run, or another run is using it; in all processes.
        OSError: it can't be made; in all processes.
    """
    folder, refusal, lock = Path(args.output_dir), None, None
    is_new = not folder.exists()
    if args.process_index == 0:
        try:
            lock = _lock(folder)
        except USER_ERRORS as error:
            refusal = error
    shared = [refusal]
    broadcast_object_list(shared)
    if shared[0] is not None:
        raise shared[0]
    try:
        yield
    finally:
        if lock is not None:
            (folder / LOCK).unlink(missing_ok=True)
            lock.release()
            if is_new and not any(folder.iterdir()):  # a run that was refused
                folder.rmdir()


def _lock(folder: Path) -> FileLock | None:
    """The lock of a folder, held; None, with a warning, where the file system has no locks."""
    check_foreign(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=SECONDS)
    except Timeout:
        raise ValueError(
            f"output_dir={str(folder)!r} is in use by another run; wait until it ends, stop it, or choose another output_dir"
        ) from None
    except (OSError, NotImplementedError) as error:
        logger.warning(f"output_dir={str(folder)!r} can't be locked ({error}): see that no other run uses it")
        return None
    return lock
