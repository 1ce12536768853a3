"""Images and annotations of any readable format become the parquet shards of a dataset folder, checked, counted and pictured."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm.auto import tqdm

from eomt.train_scripts.data.dataset_folder import LABELS_FILE, Labels, check_split_is_new, write_labels
from eomt.train_scripts.data.formats.detection import Split
from eomt.train_scripts.data.formats.readers import OPTIONS, READERS
from eomt.train_scripts.data.formats.source import Options, Source
from eomt.train_scripts.data.samples import BAD_SAMPLES, BadSample, Sample, decode_row
from eomt.train_scripts.data.samples_picture import draw_samples
from eomt.train_scripts.data.shard_writer import SplitWriter, finish_sealed
from eomt.train_scripts.data.split_report import SplitReport

EMPTY = ("raise", "skip", "keep")  # what to do with an image that has no segment but crowds, or none at all


def prepare(
    splits: Sequence[Split],
    out: str | Path,
    options: Options | None = None,
    bad_samples: str = "raise",
    empty: str = "raise",
    val_share: float = 0.0,
    rows_a_shard: int = 1000,
) -> dict[str, SplitReport]:
    """Writes splits, `labels.json`, and of each split `<split>_report.json` and `<split>_samples.png` into `out`.

    Args:
        splits: what to read; see [`find_splits`].
        out: folder of the dataset; it may hold other splits with the same classes.
        options: what the format leaves open.
        bad_samples: "raise" stops at the first image that can't be used: a broken or missing file, annotations of another size,
            an id or category that isn't listed, a polygon outside the image. "skip" leaves them out and counts them.
        empty: the same for images without a segment, or with nothing but crowds; "keep" takes them, to train on as they are.
        val_share: of a single split, each k-th image goes to a second one, "val", where k is 1 / val_share, rounded.
        rows_a_shard: images of a shard.

    Returns:
        A report a split.

    Raises:
        ValueError: an argument or the dataset as a whole is wrong, or `out` has such a split or other classes already.
        BadSample: an image is bad; what has been written is kept for the next run with the same arguments.
    """
    for name, value, allowed in (("bad_samples", bad_samples, BAD_SAMPLES), ("empty", empty, EMPTY)):
        if value not in allowed:
            raise ValueError(f"{name}={value!r} is unknown; choose one of {', '.join(allowed)}")
    out, options = Path(out), options or Options()
    _check(splits, options)
    sources = {split.name: (split, READERS[split.format](split.images, split.annotations, options)) for split in splits}
    labels = _joint_labels({name: source.labels for name, (_, source) in sources.items()})
    if val_share:
        sources = _share_out(sources, val_share)
    for name, (_, source) in sources.items():
        if source.problems and bad_samples == "raise":
            more = f" And {len(source.problems) - 1} more." if len(source.problems) > 1 else ""
            raise BadSample(f"split {name!r}: {source.problems[0]}{more} To leave such files out: bad_samples skip.")
    moved = finish_sealed(out) & sources.keys()  # a run was interrupted when all was written
    for name in sources.keys() - moved:
        check_split_is_new(out, name)
    if (out / LABELS_FILE).is_file():
        write_labels(out, labels)  # only compares
    reports, writers = {}, {}
    for name, (split, source) in sources.items():
        if name in moved:
            reports[name] = SplitReport.load(out / f"{name}_report.json")
            continue
        choices = {"format": split.format, "options": asdict(options), "bad_samples": bad_samples, "empty": empty}
        plan = {**choices, "images": str(split.images), "annotations": str(split.annotations), "val_share": val_share}
        writers[name] = SplitWriter(out, name, len(source.items), plan, rows_a_shard)
        reports[name] = _write(writers[name], source, bad_samples, empty)
    write_labels(out, labels)
    for name in writers:
        reports[name].save(out / f"{name}_report.json")
    for writer in writers.values():
        writer.seal(list(writers))
    for writer in writers.values():
        writer.finish()
    for name in reports:
        draw_samples(out, name, labels)
    return reports


def _check(splits: Sequence[Split], options: Options) -> None:
    names = [split.name for split in splits]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"splits has the names {twice} more than once. Prepare such folders one by one, by images and annotations")
    given = {name for name, value in asdict(options).items() if value}
    for split in splits:
        if useless := sorted(given - OPTIONS.get(split.format, set())):
            raise ValueError(
                f"{', '.join(useless)} mean nothing for the format {split.format} of {split.annotations}; leave them out, or give "
                "another format"
            )


def _joint_labels(labels: dict[str, Labels]) -> Labels:
    first = next(iter(labels))
    for name, of_split in labels.items():
        if of_split != labels[first]:
            raise ValueError(
                f"split {name!r} has the classes {of_split.names}, but {first!r} {labels[first].names}. Splits of a dataset share "
                "them: give them by classes (yolo, via), or mend the annotations"
            )
    return labels[first]


def _share_out(sources: dict[str, tuple[Split, Source]], val_share: float) -> dict[str, tuple[Split, Source]]:
    if not 0 < val_share <= 0.5 or len(sources) > 1 or "val" in sources:
        raise ValueError(f"val_share={val_share} must lie in 0..0.5, and be given for one split not named val, not {list(sources)}")
    [(name, (split, source))] = sources.items()
    step = round(1 / val_share)
    if len(source.items) < step:
        raise ValueError(f"val_share={val_share} needs {step} images, but there are {len(source.items)}; give more, or none")
    kept = [item for index, item in enumerate(source.items) if index % step != step - 1]
    parts, problems = {name: kept, "val": source.items[step - 1 :: step]}, {name: source.problems, "val": ()}
    return {part: (split, replace(source, items=items, problems=problems[part])) for part, items in parts.items()}


def _write(writer: SplitWriter, source: Source, bad_samples: str, empty: str) -> SplitReport:
    """Writes a split's shards but for those that are there of an interrupted run."""
    total, size = SplitReport(), writer.rows_a_shard
    with tqdm(desc=f"preparing {writer.split}", total=len(source.items), unit="image") as bar:
        for number, path in enumerate(writer.shards):
            items = source.items[number * size : (number + 1) * size]
            counts, digest = path.with_suffix(".json"), _digest(items, source)
            if not (path.is_file() and _is_of(counts, digest) and _is_newer(counts, items, source)):
                report = SplitReport()
                writer.write_shard(path, _rows(items, source, report, bad_samples, empty, bar))
                report.save(counts, digest=digest)
            else:
                bar.update(len(items))
            total.merge(SplitReport.load(counts))
    for problem in source.problems:
        total.skip("bad", problem)
    if not total.images:
        raise ValueError(
            f"split {writer.split!r} has no image that can be used; {sum(total.skipped.values())} were left out, the first for: "
            f"{total.skipped_named[:1]}"
        )
    return total


def _digest(items: Sequence[Any], source: Source) -> str:
    """Of all that a shard's rows depend on beside the files."""
    return hashlib.sha256(repr((source.labels, source.context, items)).encode()).hexdigest()


def _is_of(counts: Path, digest: str) -> bool:
    return counts.is_file() and json.loads(counts.read_text())["digest"] == digest


def _is_newer(path: Path, items: Sequence[Any], source: Source) -> bool:
    """Than all files; those that were moved here keep the time of their making, but not that of their last change."""
    written = path.stat().st_mtime_ns
    files = (file for item in items for file in source.files_of(item))
    return all(file.exists() and max(file.stat().st_mtime_ns, file.stat().st_ctime_ns) < written for file in files)


def _rows(items: Sequence[Any], source: Source, report: SplitReport, bad_samples: str, empty: str, bar: tqdm) -> Iterator[dict]:
    """The rows to be written, which are counted, as those left out are."""
    for item in items:
        bar.update()
        name = " and ".join(map(str, source.files_of(item)))
        try:
            row, sample = _make_row(item, source, name)
        except BadSample as error:
            if bad_samples == "raise":
                error.add_note(
                    "Mended, the run goes on with the images that it has not written yet. To leave such images out and have them "
                    "counted, which starts with the first image again: bad_samples skip."
                )
                raise
            report.skip("bad", str(error))
            continue
        if (lack := _lack(sample)) and empty != "keep":
            if empty == "raise":
                raise BadSample(
                    f"{name} has {lack}. Mend the annotations, or have such images left out by empty skip, or trained on by keep"
                )
            report.skip(lack, name)
            continue
        report.add(sample)
        report.dropped += row.pop("dropped", 0)
        yield row


def _make_row(item: Any, source: Source, name: str) -> tuple[dict, Sample]:
    try:
        row = source.make_row(item)
        return row, decode_row(row, len(source.labels), name)
    except BadSample:
        raise
    except (ValueError, KeyError, TypeError, OSError, Image.DecompressionBombError) as error:  # what no check has foreseen
        raise BadSample(f"{name}: {error!r}. The file or its annotation has not the form that it should have.") from error


def _lack(sample: Sample) -> str | None:
    if not len(sample.segment_ids):
        return "no segment"
    return "nothing but crowd" if sample.is_crowd.all() else None
