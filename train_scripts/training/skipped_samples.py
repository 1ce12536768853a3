"""Counts the images that a training leaves out because they can't be used."""

import logging
from collections.abc import Iterable, Sequence

from accelerate.utils import gather_object

logger = logging.getLogger(__name__)


class SkippedSamples:
    """
    Counts the rows that this process's stream left out, and warns of each row once, though it comes again in every epoch.

    Attributes:
        total: rows left out of the training so far, with those before an interruption.
    """

    def __init__(self):
        self.total = 0
        self._warned: set[str] = set()

    def add(self, reasons: Sequence[str]) -> None:
        """Counts rows that were left out of the training, by the reasons for it."""
        self.total += len(reasons)
        self.warn(reasons)

    def warn(self, reasons: Iterable[str]) -> None:
        """Warns of rows that were left out of an evaluation. They are not counted: every evaluation would add the same."""
        for reason in reasons:
            if reason not in self._warned:
                self._warned.add(reason)
                logger.warning("left out: %s", reason)

    def counts(self) -> dict[str, int]:
        """`skipped_samples` as it is logged, over all epochs and processes; empty as long as there are none.

        All processes must call this.
        """
        total = sum(gather_object([self.total]))
        return {"skipped_samples": total} if total else {}
