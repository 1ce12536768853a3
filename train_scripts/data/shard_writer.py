"""The writer of a split's parquet shards.

It holds one row group in memory. Shards are written into a hidden folder, `.<split>.partial`, and moved beside it when all are
there, so that a half-written split is not taken for a whole one. An interrupted run leaves the hidden folder:

- `plan.json` in it says what the shards are of. A later run of the same plan goes on with the shards that are missing.
- `sealed` says that all shards of all splits of the run are there, with the plan of each. A later run of any plan moves them.
"""

import itertools
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm.auto import tqdm

from eomt.train_scripts.data.dataset_folder import FEATURES, check_split_is_new, has_split

# Streams shuffle and share out row groups. Small ones mix well and take little memory.
MAX_GROUP_ROWS = 100
MAX_GROUP_BYTES = 1 << 26  # of encoded images; a group is closed by the row that reaches it
MIN_GROUPS = 16  # of a small split, so that there is something to share out
PLAN = "plan.json"
SEALED = "sealed"


class SplitWriter:
    """
    A split that is being written, in its hidden folder.

    Args:
        folder: of the dataset; it is made if it doesn't exist.
        split: must not exist there yet.
        total: how many rows there are, those that are left out included.
        plan: all that decides what the shards hold, fit for json. Shards of an interrupted writer of the same plan are kept;
            without a plan none are.
        rows_a_shard: of `total`. A shard has fewer where rows are left out.

    Raises:
        ValueError: the split exists.
    """

    def __init__(self, folder: str | Path, split: str, total: int, plan: dict | None = None, rows_a_shard: int = 1000):
        check_split_is_new(folder, split)
        self.folder, self.split, self.part = Path(folder), split, Path(folder) / f".{split}.partial"
        self.rows_a_shard, self.rows_a_group = rows_a_shard, min(MAX_GROUP_ROWS, max(1, total // MIN_GROUPS))
        count = max(1, -(-total // rows_a_shard))
        self.shards = [self.part / f"{split}-{index:05d}-of-{count:05d}.parquet" for index in range(count)]
        stored = json.dumps({"shards": count, "rows_a_shard": rows_a_shard, "plan": plan}, indent=1)
        if plan is None or not (self.part / PLAN).is_file() or (self.part / PLAN).read_text() != stored:
            shutil.rmtree(self.part, ignore_errors=True)
            self.part.mkdir(parents=True)
            (self.part / PLAN).write_text(stored)

    def write_shard(self, path: Path, rows: Iterable[dict]) -> int:
        """Writes one of `shards`. The file has its name only when it is whole.

        Returns:
            The number of its rows.
        """
        part, count = path.with_suffix(".partial"), 0
        schema = FEATURES.arrow_schema
        with pq.ParquetWriter(part, schema) as writer:
            for group in _groups(rows, self.rows_a_group):
                writer.write_table(pa.Table.from_pylist(group, schema=schema), row_group_size=len(group))
                count += len(group)
        os.replace(part, path)
        return count

    def seal(self, plans: Mapping[str, dict]) -> None:
        """Marks the shards as ready to be moved, by [`finish`] or, after an interruption, by [`finish_sealed`].

        Args:
            plans: of each split of the run, this one included. All of their shards must have been written.
        """
        (self.part / f"{SEALED}.partial").write_text(json.dumps(plans))
        os.replace(self.part / f"{SEALED}.partial", self.part / SEALED)

    def finish(self) -> None:
        """Moves the shards into the dataset's folder. All of them must have been written."""
        _move(self.part)


def finish_sealed(folder: str | Path) -> dict[str, dict]:
    """Moves the sealed shards of an interrupted run into the dataset's folder.

    Returns:
        {split: plan} of the splits of that run that are there now.
    """
    plans = {}
    for path in sorted(Path(folder).glob(f".*.partial/{SEALED}")):
        plans |= json.loads(path.read_text())
        _move(path.parent)
    return {split: plan for split, plan in plans.items() if has_split(folder, split)}


def _move(part: Path) -> None:
    for path in sorted(part.glob("*.parquet")):
        os.replace(path, part.parent / path.name)
    shutil.rmtree(part)


def write_split(folder: str | Path, split: str, rows: Iterable[dict], total: int, rows_a_shard: int = 1000) -> None:
    """Writes a split from its rows. The shards appear in `folder` when all are complete.

    Args:
        folder: of the dataset; it is made if it doesn't exist.
        split: must not exist there yet.
        rows: with the columns of `eomt.train_scripts.data.dataset_folder`, images as `{"bytes": ..., "path": ...}`.
        total: how many rows there are.
        rows_a_shard: rows in a shard.

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


def _groups(rows: Iterable[dict], most_rows: int) -> Iterator[list[dict]]:
    """Row groups of `most_rows`, or fewer where images are large."""
    group, group_bytes = [], 0
    for row in rows:
        group.append(row)
        group_bytes += sum(len((row.get(name) or {}).get("bytes") or b"") for name in ("image", "id_map"))
        if len(group) == most_rows or group_bytes >= MAX_GROUP_BYTES:
            yield group
            group, group_bytes = [], 0
    if group:
        yield group
