"""One split of a source becomes shards: its rows are made, checked and counted.

An interrupted run goes on shard by shard. Beside each shard lies a report of it, with a digest of what its rows were made from. A
shard is kept if the digest is that of now, and none of the files that the rows are made of was changed since.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.choices import BAD_SAMPLES, EMPTY, check_choice
from eomt.train_scripts.data.formats.annotation_notes import BadAnnotation, form_fault
from eomt.train_scripts.data.formats.source import Source
from eomt.train_scripts.data.samples import Sample, decode_row
from eomt.train_scripts.data.shard_writer import SplitWriter
from eomt.train_scripts.data.split_report import SplitReport


@dataclass(frozen=True)
class Policy:
    """What to do with images that are no good for training.

    Args:
        bad_samples: one of `BAD_SAMPLES`, for images that can't be used.
        empty: one of `EMPTY`, for images without a segment but crowds.

    Raises:
        ValueError: a value is unknown.
    """

    bad_samples: str = "raise"
    empty: str = "raise"

    def __post_init__(self):
        check_choice("bad_samples", self.bad_samples, BAD_SAMPLES)
        check_choice("empty", self.empty, EMPTY)


def write_source(writer: SplitWriter, source: Source, policy: Policy) -> SplitReport:
    """Writes the shards of a split, without those that an interrupted run has left and that are still right.

    Returns:
        The report of the whole split.

    Raises:
        BadSample: an image is bad or empty, and the policy is to raise.
        ValueError: no image is left.
    """
    total, size = SplitReport(), writer.rows_a_shard
    with tqdm(desc=f"preparing {writer.split}", total=len(source.items), unit="image") as bar:
        for number, path in enumerate(writer.shards):
            items = source.items[number * size : (number + 1) * size]
            stored, digest = path.with_suffix(".json"), _digest(items, source)
            if path.is_file() and _has_digest(stored, digest) and _is_newer(stored, items, source):
                bar.update(len(items))
            else:
                report = SplitReport()
                writer.write_shard(path, _rows(items, source, report, policy, bar))
                report.save(stored, digest=digest)
            total.merge(SplitReport.load(stored))
    for problem in source.problems:
        total.skip("bad", problem)
    for fault in source.notes.faults:
        total.leave_out(fault.kind, str(fault))
    total.repaired.update(source.notes.counts())
    if not total.images:
        raise ValueError(
            f"split {writer.split!r} has no image that can be used; {sum(total.skipped.values())} were left out, the first for: "
            f"{total.skipped_named[:1]}"
        )
    return total


def _digest(items: Sequence[Any], source: Source) -> str:
    """Of all that the rows of a shard depend on beside the files and the writer's plan."""
    return hashlib.sha256(repr((source.labels, source.context, items)).encode()).hexdigest()


def _has_digest(report: Path, digest: str) -> bool:
    return report.is_file() and json.loads(report.read_text())["digest"] == digest


def _is_newer(report: Path, items: Sequence[Any], source: Source) -> bool:
    """Whether a report was written after the last change of all files of the items. A file that is moved keeps the time at which
    its content was written, but not the time of its last change, so the later of both counts."""
    written = report.stat().st_mtime_ns
    files = (file for item in items for file in source.files_of(item))
    return all(file.exists() and max(file.stat().st_mtime_ns, file.stat().st_ctime_ns) < written for file in files)


def _rows(items: Sequence[Any], source: Source, report: SplitReport, policy: Policy, bar: tqdm) -> Iterator[dict]:
    """The rows to be written. They are counted in the report, and so are the images that are left out."""
    for item in items:
        bar.update()
        files = source.describe(item)
        try:
            row, sample = _make_row(item, source, files)
            if row.get("faults") and policy.bad_samples == "raise":
                raise row["faults"][0]
        except BadSample as error:
            if policy.bad_samples == "raise":
                left_out = "annotations" if isinstance(error, BadAnnotation) else "images"
                error.add_note(
                    f"Mended, the run goes on with the images that it has not written yet. To leave such {left_out} out and have "
                    "them counted, which starts with the first image again: --bad_samples skip."
                )
                raise
            report.skip("bad", str(error))
            continue
        lack, faults = _lack(sample, source.background), row.pop("faults", ())
        if lack and faults:  # an image without objects may be trained on, one that lost them may not
            report.skip("bad", f"{faults[0]} No annotation is left.")
            continue
        if lack and policy.empty != "keep":
            if policy.empty == "raise":
                raise BadSample(
                    f"{files} has {lack}. Mend the annotations, or have such images left out by empty skip, or trained on by keep"
                )
            report.skip(lack, files)
            continue
        report.add(sample)
        for fault in faults:
            report.leave_out(fault.kind, str(fault))
        report.dropped += row.pop("dropped", 0)
        report.repaired.update(row.pop("repaired", {}))
        yield row


def _make_row(item: Any, source: Source, files: str) -> tuple[dict, Sample]:
    """A row and what it decodes to, which is its check."""
    try:
        row = source.make_row(item)
        return row, decode_row(row, len(source.labels), files)
    except (BadSample, MemoryError):
        raise
    except Exception as error:  # whatever no check of a file or an annotation has foreseen
        raise BadSample(f"{files}: {form_fault(error)}. Export its annotation again.") from error


def _lack(sample: Sample, background: int | None) -> str | None:
    """What an image lacks to be trained on; a background alone is often a lost annotation too."""
    is_crowd = sample.is_crowd[sample.class_labels != (-1 if background is None else background)]
    if not len(is_crowd):
        return "no segment"
    return "nothing but crowd" if is_crowd.all() else None
