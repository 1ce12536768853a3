"""How the rows of a split are shared out over processes.

The streams share themselves out. Give them to a plain DataLoader, and let nothing shard them again, accelerate in particular.
"""

import datasets
from datasets.distributed import split_dataset_by_node

EVEN_GROUPS = 20  # row groups a process; with fewer, shares of whole row groups would be too uneven


def check_rank(world_size: int, rank: int) -> None:
    """
    Raises:
        ValueError: there is no process of this rank.
    """
    if not 0 <= rank < world_size:
        raise ValueError(f"rank={rank} must be in 0..{world_size - 1}, world_size={world_size} being the number of processes")


def every_nth_row(rows: datasets.IterableDataset, world_size: int, rank: int) -> datasets.IterableDataset:
    """Every `world_size`-th row from `rank` on. The shares differ by one row at most, but each process reads all rows."""
    return split_dataset_by_node(rows, rank, world_size, strategy="examples")


def row_groups_or_rows(rows: datasets.IterableDataset, world_size: int, rank: int) -> datasets.IterableDataset:
    """Whole row groups, of which each process reads its own alone; or every n-th row, where there are few row groups."""
    if rows.num_shards < EVEN_GROUPS * world_size:
        return every_nth_row(rows, world_size, rank)
    return split_dataset_by_node(rows, rank, world_size, strategy="shards")
