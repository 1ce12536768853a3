"""Keeps count of the images that a training leaves out."""

import logging
from collections.abc import Iterable, Sequence

from accelerate.utils import gather_object

logger = logging.getLogger(__name__)


class SkippedSamples:
    """Counts the rows that this process's stream left out, and warns of each the first time."""

    def __init__(self):
        self.total = 0
        self._told: set[str] = set()

    def add(self, reasons: Sequence[str]) -> None:
        """Rows left out of training."""
        self.total += len(reasons)
        self.warn(reasons)

    def warn(self, reasons: Iterable[str]) -> None:
        """Rows left out of evaluation, which don't count."""
        for reason in reasons:
            if reason not in self._told:
                self._told.add(reason)
                logger.warning("left out: %s", reason)

    def counts(self) -> dict[str, int]:
        """`skipped_samples`, over all epochs and processes, which must all call this; nothing where there are none."""
        total = sum(gather_object([self.total]))
        return {"skipped_samples": total} if total else {}
