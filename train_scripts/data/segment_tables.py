"""The tables of segments of a split, read without its images."""

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pyarrow.parquet as pq

from eomt.train_scripts.data.dataset_folder import read_labels, shard_paths


def segment_tables(folder: str | Path, split: str) -> Iterator[list[dict]]:
    """The table of each image: {id, category, iscrowd} of its segments.

    Args:
        folder, split: a dataset in the form of `eomt.train_scripts.data.dataset_folder`.

    Raises:
        ValueError: there is no such split.
    """
    for path in shard_paths(folder, split):
        with fsspec.open(str(path), "rb") as file:
            for batch in pq.ParquetFile(file).iter_batches(batch_size=256, columns=["segments"]):
                yield from (table or [] for table in batch.column(0).to_pylist())


def most_things(folder: str | Path, split: str) -> int:
    """How many things the fullest image of a split has, crowds left out.

    Raises:
        ValueError: there is no such split.
    """
    things = {index for index, isthing in enumerate(read_labels(folder).isthing) if isthing}
    tables = segment_tables(folder, split)
    return max((sum(one["category"] in things and not one["iscrowd"] for one in table) for table in tables), default=0)
