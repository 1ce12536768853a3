"""Images and annotations of any readable format become the parquet shards of a dataset folder, checked, counted and pictured."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from eomt.train_scripts.data.background import with_background
from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.dataset_folder import Labels, check_split_is_new, write_labels
from eomt.train_scripts.data.formats.annotation_notes import AnnotationNotes, form_fault
from eomt.train_scripts.data.formats.class_list import is_void
from eomt.train_scripts.data.formats.image_depth import LOOKED_AT, refuse_dark_depths
from eomt.train_scripts.data.formats.mask_classes import refuse_shifted_values
from eomt.train_scripts.data.formats.readers import NAMES_CLASSES, OPTIONS, READERS
from eomt.train_scripts.data.formats.source import Options, Source
from eomt.train_scripts.data.formats.split import Split, split_options
from eomt.train_scripts.data.input_paths import LABELS_FILE
from eomt.train_scripts.data.samples_picture import draw_samples
from eomt.train_scripts.data.shard_writer import SplitWriter, finish_sealed
from eomt.train_scripts.data.single_class import refuse_single_class
from eomt.train_scripts.data.split_preparation import Policy, write_source
from eomt.train_scripts.data.split_report import SplitReport

Sources = dict[str, tuple[Split, Source]]  # by the name of the split that is written


def prepare(
    splits: Sequence[Split],
    out: str | Path,
    options: Options | None = None,
    bad_samples: str = "raise",
    empty: str = "raise",
    val_share: float | None = 0.0,
    rows_a_shard: int = 1000,
    background: str | None = None,
) -> dict[str, SplitReport]:
    """Writes splits, `labels.json`, and of each split `<split>_report.json` and `<split>_samples.png` into `out`.

    Args:
        splits: what is read; see [`find_splits`].
        out: folder of the dataset. It may hold other splits with the same classes.
        options: what the format leaves open.
        bad_samples: "raise" stops at the first image or annotation that can't be used: a broken or missing file, annotations of
            another size, a polygon outside the image, a category that isn't listed. "skip" leaves it out and counts it: the one
            annotation where the others of its image can be used, else the image.
        empty: the same for images without a segment, or with nothing but crowds. "keep" takes them, to train on as they are.
        val_share: of a single split, each k-th image goes to a second one, "val"; k is 1 / val_share, rounded. None is a tenth, and
            an image at least, but nothing where there are several splits or the one is named "val".
        rows_a_shard: images in a shard.
        background: name of a class, stuff, that void becomes.

    Returns:
        {split: report}.

    Raises:
        ValueError: an argument or the dataset as a whole is wrong, or `out` has such a split or other classes already.
        BadSample: an image is bad. What has been written is kept for the next run with the same arguments.
    """
    policy = Policy(bad_samples, empty)
    out, options = Path(out), options or Options()
    _check(splits, options)
    of_split = {split.name: split_options(split, options) for split in splits}
    sources, of_split = _read_jointly(splits, of_split)
    _refuse_shared_images(sources)
    if background:
        sources = {name: (split, with_background(source, background)) for name, (split, source) in sources.items()}
    labels = _joint_labels({name: source.labels for name, (_, source) in sources.items()})
    if val_share is None:
        sources = _hold_out_some(sources)
    elif val_share:
        sources = _hold_out(sources, val_share)
    if bad_samples == "raise":
        _refuse_problems(sources)
    for name, (_, source) in sources.items():
        some = source.items[:: max(1, len(source.items) // LOOKED_AT)]
        refuse_dark_depths([files[0] for files in map(source.files_of, some) if files], name)
    plans = {name: _plan(split, of_split[split.name], policy, val_share, background) for name, (split, _) in sources.items()}
    sealed = finish_sealed(out)  # a run was interrupted when all was written
    moved = {name for name, plan in plans.items() if sealed.get(name) == plan}
    for name in sources.keys() - moved:
        check_split_is_new(out, name)
    if (out / LABELS_FILE).is_file():
        write_labels(out, labels)  # only compares
    reports = {name: SplitReport.load(_report_path(out, name)) for name in sources if name in moved}
    writers = {}
    for name, (_, source) in sources.items():
        if name not in moved:
            writers[name] = SplitWriter(out, name, len(source.items), plans[name], rows_a_shard)
            reports[name] = write_source(writers[name], source, policy)
            draw_samples(writers[name].part, name, labels)
    _refuse_single_class(labels, reports)
    if not (out / LABELS_FILE).is_file() and all(_counts_from_0(split, of_split[split.name]) for split in splits):
        refuse_shifted_values(labels.names, _seen(labels, reports))
    _publish(out, labels, plans, reports, writers)
    return {name: reports[name] for name in sources}


def _check(splits: Sequence[Split], options: Options) -> None:
    """
    Raises:
        ValueError: two splits have one name, or an option means nothing to a format.
    """
    names = [split.name for split in splits]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"splits has the names {twice} more than once. Prepare such folders one by one, by images and annotations")
    # files of classes have colours, and values that are the indices, for any format
    by_index = {"values"} if options.values == list(range(len(options.values))) else set()
    given = {name for name, value in asdict(options).items() if value} - {"colours"} - by_index
    for split in splits:
        if useless := sorted(given - OPTIONS.get(split.format, set())):
            raise ValueError(
                f"{', '.join(useless)} mean nothing for the format {split.format} of {split.annotations}; leave them out, or give "
                "another format"
            )


def _read_jointly(splits: Sequence[Split], of_split: dict[str, Options]) -> tuple[Sources, dict[str, Options]]:
    """The sources of splits, and their options: where each split names its own classes, with those that they have together.

    Raises:
        ValueError: see [`_read`].
    """
    # stuff may be of classes that one split lacks
    is_open = len(splits) > 1 and all(split.format in NAMES_CLASSES and of_split[split.name].stuff for split in splits)
    sources = _read(splits, {name: replace(of, stuff=[]) for name, of in of_split.items()} if is_open else of_split)
    shared = _shared_classes({name: (split.format, source.labels) for name, (split, source) in sources.items()})
    if shared:
        of_split = {name: replace(of, classes=shared) for name, of in of_split.items()}
    return _read(splits, of_split) if shared or is_open else sources, of_split


def _refuse_shared_images(sources: Sources) -> None:
    """Refuses splits that share an image, so that a score would be of images that were trained on. A data file of YOLO may name a
    folder, or a list, for two splits.

    Raises:
        ValueError: two splits have one image file.
    """
    if len(sources) < 2:
        return
    owners: dict[tuple[Path, str], Split] = {}
    folders: dict[Path, Path] = {}  # as they are given: without links
    for split, source in sources.values():
        for file in (files[0] for files in map(source.files_of, source.items) if files):
            folder = folders.get(file.parent) or folders.setdefault(file.parent, file.parent.resolve())
            other = owners.setdefault((folder, file.name), split)
            if other is not split and not (split.format == "yolo" and {*split.image_places} & {*other.image_places}):
                raise ValueError(
                    f"the image {file} is in two splits, {other.name!r} with the annotations {other.annotations} and "
                    f"{split.name!r} with {split.annotations}. Move the files of each split into a folder of its own, or prepare "
                    "one split at a time: --images, --annotations and --split"
                )


def _read(splits: Sequence[Split], of_split: dict[str, Options]) -> Sources:
    """
    Raises:
        ValueError: annotations have not the form of their format, or the reader says more.
    """
    sources = {}
    for split in splits:
        try:
            sources[split.name] = split, READERS[split.format](split.images, split.annotations, of_split[split.name])
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise ValueError(
                f"annotations={split.annotations} has not the form of {split.format}: {form_fault(error)}. Export it again"
            ) from error
    return sources


def _shared_classes(labels: dict[str, tuple[str, Labels]]) -> list[str] | None:
    """The names of the classes of all splits, if each names its classes by itself and they differ; else None.

    Args:
        labels: {split: format of its annotations, classes}.
    """
    if any(form not in NAMES_CLASSES for form, _ in labels.values()):
        return None
    lists = sorted((of_split.names for _, of_split in labels.values()), key=len, reverse=True)
    return list(dict.fromkeys(name for names in lists for name in names)) if any(names != lists[0] for names in lists) else None


def _joint_labels(labels: dict[str, Labels]) -> Labels:
    """The classes of all splits.

    Raises:
        ValueError: they differ.
    """
    first = next(iter(labels))
    for name, of_split in labels.items():
        if of_split != labels[first]:
            raise ValueError(
                f"split {name!r} has the classes {of_split.names}, but {first!r} {labels[first].names}. Splits of a dataset share "
                "them: give them by --classes where the format takes it, or mend the annotations"
            )
    return labels[first]


def _hold_out(sources: Sources, val_share: float) -> Sources:
    """Two splits of one: each k-th image goes to "val".

    Raises:
        ValueError: the share is out of range, there are too few images, or there isn't just one split, or it is named val.
    """
    if not 0 < val_share <= 0.5 or len(sources) > 1 or "val" in sources:
        raise ValueError(f"val_share={val_share} must lie in 0..0.5, and be given for one split not named val, not {list(sources)}")
    [(name, (split, source))] = sources.items()
    step = round(1 / val_share)
    if len(source.items) < step:
        raise ValueError(f"val_share={val_share} needs {step} images, but there are {len(source.items)}; give more, or none")
    kept = [item for index, item in enumerate(source.items) if index % step != step - 1]
    held_out = source.items[step - 1 :: step]
    val = replace(source, items=held_out, problems=(), notes=AnnotationNotes())
    return {name: (split, replace(source, items=kept)), "val": (split, val)}


def _hold_out_some(sources: Sources) -> Sources:
    """A tenth of a single split, or one image of fewer than ten."""
    count = min(len(source.items) for _, source in sources.values())
    return _hold_out(sources, max(0.1, 1 / count)) if len(sources) == 1 and "val" not in sources and count > 1 else sources


def _refuse_problems(sources: Sources) -> None:
    """
    Raises:
        BadSample: a source has problems.
    """
    for name, (_, source) in sources.items():
        if source.problems:
            more = f" And {len(source.problems) - 1} more." if len(source.problems) > 1 else ""
            raise BadSample(f"split {name!r}: {source.problems[0]}{more} To leave such files out: --bad_samples skip.")
        if faults := source.notes.faults:
            more = f" And {len(faults) - 1} more." if len(faults) > 1 else ""
            raise BadSample(f"split {name!r}: {faults[0]}{more} To leave such annotations out: --bad_samples skip.")


def _refuse_single_class(labels: Labels, reports: dict[str, SplitReport]) -> None:
    """
    Raises:
        ValueError: the classes are of use for semantic segmentation alone, and the images show but one, and void.
    """
    total = SplitReport()
    for report in reports.values():
        total.merge(report)
    if not any(labels.isthing):
        refuse_single_class(_seen(labels, reports), total, " and ".join(reports))


def _seen(labels: Labels, reports: dict[str, SplitReport]) -> list[str]:
    """The classes that images show."""
    indices = {index for report in reports.values() for index, images in report.class_images.items() if images}
    return [name for index, name in enumerate(labels.names) if str(index) in indices]


def _counts_from_0(split: Split, options: Options) -> bool:
    """Whether masks are read by names whose values weren't given."""
    names_void = options.void == [0] or any(map(is_void, options.classes))
    return split.format == "masks" and not options.values and not options.colours and not names_void


def _plan(split: Split, options: Options, policy: Policy, val_share: float | None, background: str | None) -> dict:
    """All that decides what is read and what is left out, as json gives it back."""
    plan = {
        "format": split.format,
        "images": str(split.images),
        "annotations": str(split.annotations),
        "options": asdict(options),
        **asdict(policy),
        "val_share": val_share,
        "background": background,
    }
    return json.loads(json.dumps(plan))


def _publish(
    out: Path, labels: Labels, plans: dict[str, dict], reports: dict[str, SplitReport], writers: dict[str, SplitWriter]
) -> None:
    """Makes what was written visible: labels, reports and pictures first, then the shards of all splits.

    All splits are sealed before the first shard is moved. If the run is interrupted in between, the next one moves the rest.
    """
    write_labels(out, labels)
    for name in writers:
        reports[name].save(_report_path(out, name))
        os.replace(writers[name].part / f"{name}_samples.png", out / f"{name}_samples.png")
    for writer in writers.values():
        writer.seal({name: plans[name] for name in writers})
    for writer in writers.values():
        writer.finish()


def _report_path(out: Path, split: str) -> Path:
    return out / f"{split}_report.json"
