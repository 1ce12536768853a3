"""Data that a run prepares first: annotations of any readable layout become a dataset beside the run's output folder.

`outputs/street_data` of the run `outputs/street` holds it, with a record of what it was made from, and the same run takes it again.
It is no part of the output folder, which is pushed to the Hub.
"""

import hashlib
import json
import os
import shlex
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list

from eomt.train_scripts.data.command import USER_ERRORS
from eomt.train_scripts.data.command_line import parse_options
from eomt.train_scripts.data.dataset_folder import split_names
from eomt.train_scripts.data.formats.archives import remove_unpacked
from eomt.train_scripts.data.formats.image_files import walk
from eomt.train_scripts.data.input_paths import HUB_NAME, LABELS_FILE
from eomt.train_scripts.data.preparation import prepare
from eomt.train_scripts.data.prepare_options import PrepareOptions
from eomt.train_scripts.training.arguments import EomtTrainingArguments
from eomt.train_scripts.training.data_arguments import DataArguments
from eomt.train_scripts.training.used_folder import is_run

RECORD = "prepared_from.json"
DECIDED = ("--out", "--source", "--images", "--dataset")  # by `data`
TRAIN_SPLIT = "train"  # the default of `train_split`
REMEDY = "give --overwrite to prepare and train anew, or choose another output_dir"
HINT = '(a training takes options of prepare as --prepare "--name value")'


@dataclass(frozen=True)
class Preparation:
    """
    What becomes a dataset, and where.

    Args:
        data: a folder, a file, or a dataset's name on the Hub.
        words: options of `eomt prepare`.
        out: folder of the dataset.
        hold_out: whether a tenth of the images is held out, where there is no split for it and `words` don't say.
        replaces: whether a dataset in `out` that was made from something else is removed.
    """

    data: str
    words: Sequence[str]
    out: Path
    hold_out: bool
    replaces: bool

    def run(self, ignored: Sequence[Path]) -> str:
        """Makes the dataset, or takes one that is there and was made from the same.

        Args:
            ignored: folders that may lie in `data`, and change.

        Returns:
            A line that says what was done.

        Raises:
            ValueError: an option is wrong.
            FileExistsError: `out` holds something else, or the dataset of a run that was made from something else.
            BadSample: an image is bad. What has been written is kept for the next run.
        """
        options = self._options()
        record = {"data": self._full(self.data), "words": list(self.words), "hold_out": self.hold_out}
        record["state"] = self._state([*ignored, self.out])
        stored = _stored_record(self.out)
        if stored == record and _is_complete(self.out):
            return f"data:     {self.out}, prepared from {self.data} before"
        if stored not in (None, record):
            if _is_complete(self.out) and not self.replaces:
                raise FileExistsError(f"{self.out} was prepared from {_differences(record, stored)}; {REMEDY}")
            shutil.rmtree(self.out)
        splits = options.splits()
        self.out.mkdir(parents=True, exist_ok=True)
        (self.out / RECORD).write_text(json.dumps(record, indent=1))
        policies = options.policies() | ({"val_share": None} if self.hold_out and "--val_share" not in self.words else {})
        try:
            reports = prepare(splits, self.out, options.format_options(), **policies)
        finally:
            if [path.name for path in self.out.iterdir()] == [RECORD]:  # nothing was written
                shutil.rmtree(self.out)
        remove_unpacked(self.out)
        counts = ", ".join(f"{name} {report.images}" for name, report in reports.items())
        picture = self.out / f"{next(iter(reports))}_samples.png"
        return f"data:     {self.data} ({splits[0].format}; {counts} images) is prepared as {self.out}; look at {picture}"

    def _options(self) -> PrepareOptions:
        if wrong := [word for word in self.words if word.split("=")[0] in DECIDED]:
            raise ValueError(f"prepare has {wrong}, but data={self.data} is what is read; leave it out")
        path = Path(self.data)
        is_dataset = not path.exists() or path.suffix == ".parquet"
        option = "--dataset" if is_dataset else "--images" if "--annotations" in self.words else "--source"
        return parse_options(PrepareOptions, [option, self.data, "--out", str(self.out), *self.words], None)

    def _full(self, name: str) -> str:
        return str(Path(name).resolve()) if Path(name).exists() else name

    def _state(self, ignored: Sequence[Path]) -> str:
        """A digest of names, sizes and times of all files that `data` and `words` name; a dataset on the Hub has none."""
        digest = hashlib.sha256()
        for name in (self.data, *self.words):
            if os.path.exists(name):
                for file in _files(Path(name), ignored):
                    stat = file.stat(follow_symlinks=file.exists())
                    digest.update(f"{os.path.relpath(file, name)} {stat.st_size} {stat.st_mtime_ns}\n".encode())
        return digest.hexdigest()[:16]


def with_prepared_data(data_args: DataArguments, args: EomtTrainingArguments) -> DataArguments:
    """Options whose `data` is a dataset folder: as they are, or, of annotations, after the first process has prepared them.

    All processes must call it. The others wait, for at most `ddp_timeout` seconds.

    Raises:
        ValueError, OSError: the data can't be prepared; in all processes.
    """
    if not needs_preparation(data_args.data):
        if data_args.prepare:
            raise ValueError(f"prepare={data_args.prepare!r} has no effect: data={data_args.data} is prepared; leave it out")
        return data_args
    output = Path(args.output_dir)
    output = output if output.name else output.resolve()
    words = _words(data_args)
    out = output.with_name(f"{output.name}_data")
    preparation = Preparation(data_args.data, words, out, bool(data_args.eval_split), args.overwrite or not is_run(output))
    outcome: list[Any] = [None]
    if args.process_index == 0:
        try:
            print(preparation.run([output]), flush=True)
        except USER_ERRORS as error:
            if isinstance(error, ValueError):
                error.add_note(HINT)
            outcome = [error]
    broadcast_object_list(outcome)
    if outcome[0] is not None:
        raise outcome[0]
    prepared = replace(data_args, data=str(preparation.out), prepare="")
    return replace(prepared, train_split=_train_split(prepared))


def _train_split(data_args: DataArguments) -> str:
    """The split to train on; where there is none of the name, the only one that isn't scored, such as CVAT's `default`."""
    others = [name for name in split_names(data_args.data) if name != data_args.eval_split]
    return others[0] if len(others) == 1 and data_args.train_split == TRAIN_SPLIT else data_args.train_split


def _words(data_args: DataArguments) -> list[str]:
    """The options of `eomt prepare`, each in one spelling, with the training's own for images that can't be used.

    Raises:
        ValueError: a quotation isn't closed.
    """
    try:
        given = shlex.split(data_args.prepare)
    except ValueError as error:
        raise ValueError(f"prepare={data_args.prepare!r} can't be read ({error}); write it like '--classes sky,road'") from error
    words = [word for text in given for word in _spelled(text)]
    return words if "--bad_samples" in words else [*words, "--bad_samples", data_args.bad_samples]


def _spelled(word: str) -> list[str]:
    """`--val-share=0.3` as `--val_share`, `0.3`; a value that begins with a dash stays in the option's word."""
    if not word.startswith("--"):
        return [word]
    name, equals, value = word.partition("=")
    name = f"--{name[2:].replace('-', '_')}"
    return [f"{name}={value}"] if value.startswith("-") else [name, value] if equals else [name]


def needs_preparation(data: str) -> bool:
    """Whether `data` is a folder or file without labels.json, or may be the name of a dataset on the Hub."""
    if "://" in data or (Path(data) / LABELS_FILE).is_file():
        return False
    return Path(data).exists() or HUB_NAME.fullmatch(data) is not None


def _stored_record(folder: Path) -> dict | None:
    """
    Raises:
        FileExistsError: the folder holds something that no run has prepared.
    """
    if (folder / RECORD).is_file():
        return json.loads((folder / RECORD).read_text())
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder}, for the prepared data, holds something else; choose another output_dir, or move it away")
    return None


def _differences(record: dict, stored: dict) -> str:
    """What a dataset was made from, in the terms in which it differs from what is wanted."""
    if stored["data"] != record["data"]:
        return stored["data"]
    if stored["state"] == record["state"] or stored["words"] != record["words"]:
        held_out = "an eval_split" if stored["hold_out"] else "no eval_split"
        return f"this data with the options {shlex.join(stored['words'])!r} and {held_out}"
    return "another state of its files"


def _is_complete(folder: Path) -> bool:
    """Whether a preparation has come to its end: classes are written first, and folders of unfinished shards removed last."""
    return (folder / LABELS_FILE).is_file() and not any(folder.glob(".*.partial"))


def _files(path: Path, skipped: Sequence[Path]) -> Iterator[Path]:
    """The file, or those of a folder but for folders that are skipped."""
    if path.is_file():
        yield path
    yield from walk(path, skipped)
