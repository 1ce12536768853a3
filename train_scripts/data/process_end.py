"""How the process of a command ends, done or interrupted by Ctrl-C."""

import gc
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

EXIT_CODE = 130  # of a process that Ctrl-C has ended, by the shells' convention


@contextmanager
def orderly_end() -> Iterator[None]:
    """Leaves the process group after what is within. If that was interrupted, ends the process in one line with exit code 130."""
    try:
        yield
    except KeyboardInterrupt as interrupted:
        if os.environ.get("RANK", "0") == "0":  # of several processes the first
            print(str(interrupted) or "interrupted: nothing stored is lost; give the same command again", file=sys.stderr)
        traceback.clear_frames(interrupted.__traceback__)  # DataLoader ends its workers when the loop lets it go
        _leave_process_group()
        sys.exit(EXIT_CODE)
    _leave_process_group()


def _leave_process_group() -> None:
    """Ends the group's threads, which would abort the process if they were left when Python ends.

    The threads end with the last reference to the group. Models and callbacks have some, in cycles that only a collection frees.
    """
    if (distributed := sys.modules.get("torch.distributed")) and distributed.is_initialized():  # else there is no group
        distributed.destroy_process_group()
    gc.collect()
