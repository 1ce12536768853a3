"""Datasets that `datasets` reads: of the Hub, or local folders and files. Rows are streamed, and no copy is made first."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import fsspec
import pyarrow.parquet as pq
from datasets.packaged_modules.parquet.parquet import ParquetConfig
from pyarrow.dataset import ParquetFragmentScanOptions

SAVED = ("dataset_dict.json", "state.json")  # what `save_to_disk` leaves
METADATA = ("metadata.jsonl", "metadata.csv", "metadata.parquet")  # of a folder of images
BATCH_ROWS = 8  # that are handed on at a time
BUFFERED = ParquetFragmentScanOptions(use_buffered_stream=True, buffer_size=1 << 23, pre_buffer=False)
NAME_COLUMNS = ("image_id", "id", "__key__")  # the last is that of WebDataset


@dataclass(frozen=True)
class HubSplit:
    """
    A split of a dataset.

    Args:
        rows: whose images are left encoded.
        total: how many there are; None if that is not stored.
        files: that the rows are in.
        state: changes when the files change.
    """

    rows: datasets.IterableDataset
    total: int | None
    files: list[str]
    state: str

    def count(self) -> int:
        """How many rows there are: as stored, else by the footers of parquet files, else by reading all."""
        if self.total is not None:
            return self.total
        if self.files and all(file.endswith(".parquet") for file in self.files) and not _has_images_beside(self.files):
            return sum(_parquet_rows(file) for file in self.files)
        return sum(1 for _ in self.rows)


def is_hub_folder(folder: Path) -> bool:
    """Whether a folder looks like one that `datasets` reads: parquet files, images with a table, or what `save_to_disk` leaves."""
    names = (*SAVED, *METADATA, "*.parquet")
    return any(next(folder.glob(f"{level}{name}"), None) for level in ("", "*/") for name in names)


def names_labels(folder: Path) -> bool:
    """Whether the table of a folder of images names files of labels, in a column such as `mask_file_name`."""
    tables = [path for level in ("", "*/") for name in METADATA[:2] for path in folder.glob(f"{level}{name}")]
    for table in tables:
        with table.open(encoding="utf-8-sig", errors="replace") as file:
            if "_file_name" in file.readline():
                return True
    return False


def open_splits(name: str, config: str | None = None) -> dict[str, HubSplit]:
    """The splits of a dataset by their names.

    Args:
        name: a folder, a parquet file, or a dataset on the Hub.
        config: of a dataset with several.

    Raises:
        ValueError: there is no such dataset, or `datasets` doesn't read it.
    """
    try:
        return _saved_splits(Path(name)) if _is_saved(Path(name)) else _built_splits(name, config)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        lines = " ".join(str(error).split("Example of usage")[0].split())
        advice = "; give one by dataset_config" if "onfig name" in lines else ""
        kind = "" if Path(name).exists() else "no such folder here, and "
        raise ValueError(f"dataset={name}: {kind}`datasets` can't open it: {lines}{advice}") from error


def _is_saved(folder: Path) -> bool:
    return any((folder / name).is_file() for name in SAVED)


def _saved_splits(folder: Path) -> dict[str, HubSplit]:
    content = datasets.load_from_disk(str(folder))
    splits = content if isinstance(content, datasets.DatasetDict) else {"train": content}
    opened = {}
    for name, rows in splits.items():
        files = [entry["filename"] for entry in rows.cache_files]
        state = _digest([files, [Path(file).stat().st_mtime_ns for file in files]])
        opened[name] = HubSplit(rows.to_iterable_dataset().decode(False), len(rows), files, state)
    return opened


def _built_splits(name: str, config: str | None) -> dict[str, HubSplit]:
    if Path(name).is_file():
        builder = datasets.load_dataset_builder(Path(name).suffix[1:], data_files={"train": name})
    else:  # by its whole path a folder named `parquet` or `imagefolder` isn't taken for the loader of that name
        builder = datasets.load_dataset_builder(str(Path(name).absolute()) if Path(name).is_dir() else name, config)
    if isinstance(builder.config, ParquetConfig):  # one row group at a time: they may be large
        builder.config.batch_size, builder.config.fragment_scan_options = BATCH_ROWS, BUFFERED
    opened = {}
    for split, rows in builder.as_streaming_dataset().items():
        files = (builder.config.data_files or {}).get(split, [])
        info = (builder.info.splits or {}).get(split)
        state = _digest([list(map(str, files)), getattr(files, "origin_metadata", None)])
        opened[str(split)] = HubSplit(rows.decode(False), info.num_examples if info else None, list(map(str, files)), state)
    return opened


def _digest(content: Any) -> str:
    return hashlib.sha256(repr(content).encode()).hexdigest()[:16]


def _has_images_beside(files: list[str]) -> bool:
    """Whether a parquet file is the table of a folder of images, and has not the rows."""
    return any(file.rsplit("/", 1)[-1] in METADATA for file in files)


def _parquet_rows(file: str) -> int:
    with fsspec.open(file, "rb") as stream:
        return pq.read_metadata(stream).num_rows


class RowsInOrder:
    """
    The rows of a split by their numbers. They are read one by one, and none is held.

    Args:
        split: of a dataset.
        folders: below which the files of images lie that have no bytes in the rows; the first that a file is in counts.
        column: of the images.
    """

    def __init__(self, split: HubSplit, folders: Sequence[Path], column: str):
        self.split, self.folders, self.column = split, [folder.absolute() for folder in folders], column
        self._begin()

    def __getitem__(self, number: int) -> tuple[str, dict]:
        """The name of the image, and the row.

        Rows of higher numbers are reached by reading those between; for a lower one the stream begins again.

        Raises:
            IndexError: there are fewer rows.
        """
        if number < self._next:
            self._begin()
        for row in self._rows:
            name = self._name(row, self._next)
            is_new = name not in self._names
            self._names.add(name)
            self._next += 1
            if self._next > number:
                return name if is_new else f"{name} ({number})", row
        raise IndexError(number)

    def _begin(self) -> None:
        self._rows: Iterator[dict] = iter(self.split.rows)
        self._next, self._names = 0, set()

    def _name(self, row: dict, number: int) -> str:
        """A column of names, else the path of the image's file below one of the folders, else the number."""
        for column in NAME_COLUMNS:
            if isinstance(row.get(column), str | int):
                return str(row[column])
        encoded = row.get(self.column)
        path = encoded.get("path") if isinstance(encoded, dict) and not encoded.get("bytes") else None
        inside = [folder for folder in self.folders if path and Path(path).is_relative_to(folder)]
        return Path(path).relative_to(inside[0]).with_suffix("").as_posix() if inside else f"{number:08d}"
