"""A dataset's rows -> the samples of a task, with a policy for those that can't be used."""

from collections.abc import Callable

from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.samples import BAD_SAMPLES, BadSample, Sample, decode_row


class SampleDecoder:
    """A row -> the task's sample, or None for one that is left out, whose reason is then in `skipped`.

    Args:
        labels: the dataset's classes.
        transform: a sample and `labels` -> the sample of the task, see `task_samples`.
        source: where rows come from, for error messages.
        bad_samples: one of `BAD_SAMPLES`.

    Raises:
        ValueError: `bad_samples` is unknown.
    """

    def __init__(self, labels: Labels, transform: Callable[[Sample, Labels], Sample], source: str, bad_samples: str = "raise"):
        if bad_samples not in BAD_SAMPLES:
            raise ValueError(f"bad_samples={bad_samples!r} is unknown; choose one of {', '.join(BAD_SAMPLES)}")
        self.labels, self.transform, self.source, self.bad_samples = labels, transform, source, bad_samples
        self.skipped: list[str] = []

    def __call__(self, row: dict) -> Sample | None:
        """Raises BadSample unless bad ones are skipped."""
        try:
            return self.transform(decode_row(row, len(self.labels), self.source), self.labels)
        except BadSample as error:
            if self.bad_samples == "raise":
                error.add_note("To leave such images out and have them counted: bad_samples skip.")
                raise
            self.skipped.append(str(error))
            return None
