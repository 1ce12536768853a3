"""Writes a split's parquet shards: in little memory, going on after an interruption, and to be seen only when all are there."""

import itertools
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm.auto import tqdm

from eomt.train_scripts.data.dataset_folder import FEATURES, check_split_is_new, has_split

# Parquet row groups are what streams shuffle and share out: small ones mix well and keep memory flat.
MAX_GROUP = 100  # rows
MAX_GROUP_BYTES = 1 << 26
MIN_GROUPS = 16  # of a small split, so that there is something to share out
PLAN = "plan.json"
SEALED = "sealed"  # in the hidden folder, when all shards of all splits are there and only have to be moved


class SplitWriter:
    """
    A split in the making, in a hidden folder beside where its shards will be.

    Args:
        folder: of the dataset, made if need be.
        split: must not exist there yet.
        total: rows to be written, if none is left out.
        plan: all that decides what the shards hold. Shards that an interrupted writer of the same plan finished are kept.
        rows_a_shard: of `total`; a shard has fewer where rows are left out.

    Raises:
        ValueError: the split exists.
    """

    def __init__(self, folder: str | Path, split: str, total: int, plan: dict | None = None, rows_a_shard: int = 1000):
        check_split_is_new(folder, split)
        self.folder, self.split, self.part = Path(folder), split, Path(folder) / f".{split}.partial"
        self.rows_a_shard, self.group = rows_a_shard, min(MAX_GROUP, max(1, total // MIN_GROUPS))
        count = max(1, -(-total // rows_a_shard))
        self.shards = [self.part / f"{split}-{index:05d}-of-{count:05d}.parquet" for index in range(count)]
        stored = json.dumps({"shards": count, "rows_a_shard": rows_a_shard, "plan": plan}, indent=1)
        if plan is None or not (self.part / PLAN).is_file() or (self.part / PLAN).read_text() != stored:
            shutil.rmtree(self.part, ignore_errors=True)
            self.part.mkdir(parents=True)
            (self.part / PLAN).write_text(stored)

    def write_shard(self, path: Path, rows: Iterable[dict]) -> int:
        """Writes one of `shards`, which has its name when it is whole; returns the number of its rows."""
        part, count = path.with_suffix(".partial"), 0
        schema = FEATURES.arrow_schema
        with pq.ParquetWriter(part, schema) as writer:
            for group in _groups(rows, self.group):
                writer.write_table(pa.Table.from_pylist(group, schema=schema), row_group_size=len(group))
                count += len(group)
        os.replace(part, path)
        return count

    def seal(self, splits: Sequence[str]) -> None:
        """Says that the shards, all of which must have been written, are to be moved, if need be by [`finish_sealed`]; with those
        of the other `splits` of the run."""
        (self.part / f"{SEALED}.partial").write_text(json.dumps(list(splits)))
        os.replace(self.part / f"{SEALED}.partial", self.part / SEALED)

    def finish(self) -> None:
        """Moves the shards to their place, all of which must have been written."""
        _move(self.part)


def finish_sealed(folder: str | Path) -> set[str]:
    """Moves the shards that an interrupted run has only left to be moved; which of its splits are there now."""
    splits = set()
    for path in sorted(Path(folder).glob(f".*.partial/{SEALED}")):
        splits |= set(json.loads(path.read_text()))
        _move(path.parent)
    return {split for split in splits if has_split(folder, split)}


def _move(part: Path) -> None:
    for path in sorted(part.glob("*.parquet")):
        os.replace(path, part.parent / path.name)
    shutil.rmtree(part)


def write_split(folder: str | Path, split: str, rows: Iterable[dict], total: int, rows_a_shard: int = 1000) -> None:
    """Writes a split's shards, which appear in `folder` only when all are complete.

    Args:
        folder: the dataset's folder, made if need be.
        split: must not exist there yet.
        rows: as the head of `eomt.train_scripts.data.dataset_folder` describes them, images as `{"bytes": ..., "path": ...}`.
        total: how many rows there are.
        rows_a_shard: rows of a shard.

    Raises:
        ValueError: the split exists, or there are more or fewer rows than `total`.
    """
    writer = SplitWriter(folder, split, total, rows_a_shard=rows_a_shard)
    stream, written = iter(tqdm(rows, desc=f"writing {split}", total=total, unit="image")), 0
    for path in writer.shards:
        written += writer.write_shard(path, itertools.islice(stream, rows_a_shard))
    if written != total or next(stream, None) is not None:
        raise ValueError(f"total is {total}, but rows has {written if written != total else 'more'}. Pass the right number.")
    writer.finish()


def _groups(rows: Iterable[dict], size: int) -> Iterator[list[dict]]:
    held, held_bytes = [], 0
    for row in rows:
        held.append(row)
        held_bytes += sum(len((row.get(name) or {}).get("bytes") or b"") for name in ("image", "id_map"))
        if len(held) == size or held_bytes >= MAX_GROUP_BYTES:
            yield held
            held, held_bytes = [], 0
    if held:
        yield held
