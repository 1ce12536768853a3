"""A dataset on disk: parquet shards `<split>-00000-of-00004.parquet` and `labels.json` in one folder.

A row: `image_id`; `image`, an encoded image; `id_map`, an encoded lossless PNG of the image's size that holds segment ids,
8-bit or 16-bit grey, or RGB with id = R + 256 G + 65536 B (as in COCO panoptic); `segments`, a table of the ids with class
index and crowd flag. Id 0 is void unless the table has it; every other id of the map must be in the table.

`labels.json`: `{"classes": [{"name": "bee", "isthing": true}, ...]}`, in the order of the class indices.
"""

import itertools
import json
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import datasets
import pyarrow.parquet as pq
from tqdm.auto import tqdm

FEATURES = datasets.Features(
    {
        "image_id": datasets.Value("string"),
        "image": datasets.Image(),
        "id_map": datasets.Image(),
        "segments": datasets.List(
            {"id": datasets.Value("int64"), "category": datasets.Value("int64"), "iscrowd": datasets.Value("bool")}
        ),
    }
)
LABELS_FILE = "labels.json"
SHARD_NAME = re.compile(r"(?P<split>.+)-(?P<index>\d{5})-of-(?P<count>\d{5})\.parquet")
# Parquet row groups are what streams shuffle and share out: small ones mix well and keep memory flat.
MAX_GROUP = 100  # rows
MIN_GROUPS = 16  # of a small split, so that there is something to share out


@dataclass(frozen=True)
class Labels:
    """The classes of a dataset. Invariant: `len(names) == len(isthing)`."""

    names: list[str]
    isthing: list[bool]

    def __len__(self) -> int:
        return len(self.names)


def read_labels(folder: str | Path) -> Labels:
    """The classes in `folder`'s labels.json.

    Raises:
        ValueError: the folder or file is missing, or doesn't have the form that this module's head shows.
    """
    path = _dataset_folder(folder) / LABELS_FILE
    if not path.is_file():
        raise ValueError(f"{path}: no such file. A dataset folder needs one; see eomt.train_scripts.data for its form.")
    try:
        classes = json.loads(path.read_text())["classes"]
        labels = Labels([str(entry["name"]) for entry in classes], [bool(entry["isthing"]) for entry in classes])
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f'{path}: can\'t be read ({error!r}). It must be {{"classes": [{{"name": "sky", "isthing": false}}, ...]}}.'
        ) from error
    if not len(labels):
        raise ValueError(f"{path}: `classes` is empty. Give at least one class.")
    return labels


def write_labels(folder: str | Path, labels: Labels) -> None:
    """Writes labels.json, or checks that the one there says the same, since all splits share it.

    Raises:
        ValueError: `folder` has a labels.json with other classes.
    """
    path = Path(folder) / LABELS_FILE
    if path.is_file():
        if read_labels(folder) != labels:
            raise ValueError(f"{path} has other classes than those to be written. Choose another folder or remove it.")
        return
    entries = [{"name": name, "isthing": isthing} for name, isthing in zip(labels.names, labels.isthing, strict=True)]
    path.write_text(json.dumps({"classes": entries}, indent=1))


def shard_paths(folder: str | Path, split: str) -> list[Path]:
    """The shards of a split, in order.

    Raises:
        ValueError: the folder or the split is missing, shards are missing, or two sets of shards are mixed.
    """
    folder = _dataset_folder(folder)
    found = [(match, path) for path in sorted(folder.iterdir()) if (match := SHARD_NAME.fullmatch(path.name))]
    own = [(int(match["index"]), int(match["count"]), path) for match, path in found if match["split"] == split]
    if not own:
        known = sorted({match["split"] for match, _ in found})
        raise ValueError(f"split {split!r} is not in {folder}, which has {known or 'no shards'}. Choose one of these.")
    counts = {count for _, count, _ in own}
    if len(counts) > 1:
        raise ValueError(f"{folder} mixes {split} shards of sets of {sorted(counts)}. Remove those of the older set.")
    missing = sorted(set(range(counts.pop())) - {index for index, _, _ in own})
    if missing:
        raise ValueError(f"{folder} lacks the {split} shards {missing}: it is half-written. Write the split again.")
    return [path for _, _, path in own]


def count_rows(folder: str | Path, split: str) -> int:
    """The number of images in a split, from the footers of its shards."""
    return sum(_footer(path).num_rows for path in shard_paths(folder, split))


def load_split(folder: str | Path, split: str, streaming: bool = True) -> datasets.IterableDataset | datasets.Dataset:
    """The rows of a split with images left encoded, as `{"bytes": ..., "path": ...}`.

    A stream's units of shuffling and sharing out are the row groups of the shards. `streaming=False` gives random access
    instead, through a copy in the cache of `datasets`.

    Raises:
        ValueError: something is missing in the folder, or a shard is broken or lacks columns.
    """
    paths = shard_paths(folder, split)
    for path in paths:
        absent = set(FEATURES) - set(_footer(path).schema.to_arrow_schema().names)
        if absent:
            raise ValueError(f"{path} lacks the columns {sorted(absent)}. Its columns must be {sorted(FEATURES)}.")
    files = {split: [str(path) for path in paths]}
    rows = datasets.load_dataset("parquet", data_files=files, split=split, streaming=streaming, features=FEATURES)
    if not streaming:
        return rows.cast_column("image", datasets.Image(decode=False)).cast_column("id_map", datasets.Image(decode=False))
    return rows.decode(False).reshard()


def check_split_is_new(folder: str | Path, split: str) -> None:
    """Raises ValueError if `folder` has shards of the split."""
    if any((match := SHARD_NAME.fullmatch(path.name)) and match["split"] == split for path in Path(folder).glob("*.parquet")):
        raise ValueError(f"{folder} has a split {split!r} already. Remove its shards or choose another folder.")


def write_split(folder: str | Path, split: str, rows: Iterable[dict], total: int, rows_a_shard: int = 1000) -> None:
    """Writes a split's shards, which appear in `folder` only when all are complete.

    Args:
        folder: the dataset's folder, made if need be.
        split: must not exist there yet.
        rows: as the module's head describes them, encoded images as `{"bytes": ..., "path": None}`.
        total: how many rows there are.
        rows_a_shard: as many are held in memory at a time.

    Raises:
        ValueError: the split exists, or there are more or fewer rows than `total`.
    """
    folder = Path(folder)
    count = max(1, -(-total // rows_a_shard))
    group = min(MAX_GROUP, max(1, total // MIN_GROUPS))
    check_split_is_new(folder, split)
    part = folder / f".{split}.partial"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    stream, written = iter(tqdm(rows, desc=f"writing {split}", total=total, unit="image")), 0
    for index in range(count):
        held = list(itertools.islice(stream, rows_a_shard))
        written += len(held)
        _write_shard(part / f"{split}-{index:05d}-of-{count:05d}.parquet", held, group)
    if written != total or next(stream, None) is not None:
        raise ValueError(f"total is {total}, but rows has {written if written != total else 'more'}. Pass the right number.")
    for path in sorted(part.iterdir()):
        os.replace(path, folder / path.name)
    part.rmdir()


def _write_shard(path: Path, rows: list[dict], group: int) -> None:
    quiet = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()  # theirs, of row groups, would cut through ours
    try:
        datasets.Dataset.from_list(rows, features=FEATURES).to_parquet(path, batch_size=group)
    finally:
        if not quiet:
            datasets.enable_progress_bars()


def _dataset_folder(folder: str | Path) -> Path:
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"data folder {folder} does not exist. Give a folder of parquet shards and {LABELS_FILE}.")
    return folder


def _footer(path: Path) -> pq.FileMetaData:
    try:
        return pq.read_metadata(path)
    except (OSError, ValueError) as error:  # pyarrow's ArrowInvalid is a ValueError
        raise ValueError(f"{path}: not a complete parquet file ({error}). Write the split again.") from error
