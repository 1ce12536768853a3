"""Semantic labels of a single class beside void: every pixel could be called that class, and the score would be perfect."""

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.dataset_folder import Labels, load_split, read_labels
from eomt.train_scripts.data.samples import Sample, decode_row
from eomt.train_scripts.data.segment_tables import segment_tables
from eomt.train_scripts.data.split_report import SplitReport

LEAST_VOID = 0.01  # share of pixels: less is a border between objects, not a background
SAMPLES = 32  # of which void is counted, if their table doesn't show two classes


def check_several_classes(folder: str | Path, split: str) -> None:
    """Checks that semantic segmentation can be learnt from a split, since void teaches nothing.

    Only the tables of segments are read, up to the second class. Pixels are counted in the first images alone, and only if there
    is one class.

    Args:
        folder, split: a dataset in the form of `eomt.train_scripts.data.dataset_folder`.

    Raises:
        ValueError: all segments are of one class, and the rest is void.
    """
    seen = set()
    for category in _categories(folder, split):
        seen.add(category)
        if len(seen) > 1:
            return
    labels, report = read_labels(folder), SplitReport()
    for sample in _first_samples(folder, split, labels):
        report.add(sample)
    refuse_single_class([labels.names[index] for index in seen], report, f"{folder}, split {split}")


def refuse_single_class(seen: Sequence[str], report: SplitReport, source: str) -> None:
    """
    Args:
        seen: the classes of all segments.
        report: of images, which says how much is void.
        source: begins the error message.

    Raises:
        ValueError: there is one class, and void.
    """
    void = report.void_pixels / max(1, report.pixels)
    if len(seen) == 1 and void > LEAST_VOID:
        raise ValueError(
            f"{source}: {seen[0]!r} is the only class and {100 * void:.0f} % is void, which teaches nothing: a semantic model "
            f"would call every pixel {seen[0]!r}. Prepare the images with --background NAME, which makes void a class"
        )


def _categories(folder: str | Path, split: str) -> Iterable[int]:
    """The classes of all segments but crowds, which training leaves out."""
    for table in segment_tables(folder, split):
        yield from (segment["category"] for segment in table if not segment["iscrowd"])


def _first_samples(folder: str | Path, split: str, labels: Labels) -> Iterable[Sample]:
    """Those of the first images that can be used."""
    for row in itertools.islice(load_split(folder, split), SAMPLES):
        try:
            yield decode_row(row, len(labels), f"{folder}, split {split}")
        except BadSample:  # which training reports, or leaves out
            continue
