"""The decoder of streams: rows -> the samples of a task, with a policy for rows that can't be used."""

from collections.abc import Callable

from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.choices import BAD_SAMPLES, check_choice
from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.samples import Sample, decode_row


class SampleDecoder:
    """
    Decodes a row to the task's sample. A row that is left out gives None, and its reason is appended to `skipped`.

    Args:
        labels: the dataset's classes.
        transform: a sample and `labels` -> the sample of the task; see `task_samples`.
        source: the dataset that rows are of, for error messages.
        bad_samples: one of `BAD_SAMPLES`: whether a row that can't be used raises, or is left out.

    Raises:
        ValueError: `bad_samples` is unknown.
    """

    def __init__(self, labels: Labels, transform: Callable[[Sample, Labels], Sample], source: str, bad_samples: str = "raise"):
        check_choice("bad_samples", bad_samples, BAD_SAMPLES)
        self.labels, self.transform, self.source, self.bad_samples = labels, transform, source, bad_samples
        self.skipped: list[str] = []

    def __call__(self, row: dict) -> Sample | None:
        """
        Raises:
            BadSample: the row can't be used, and `bad_samples` is "raise".
        """
        try:
            return self.transform(decode_row(row, len(self.labels), self.source), self.labels)
        except BadSample as error:
            if self.bad_samples == "raise":
                error.add_note("To leave such images out and have them counted: bad_samples skip.")
                raise
            self.skipped.append(str(error))
            return None
