"""Shares of a split: every row in one of them, by row groups where there are enough, and row by row elsewhere."""

import pytest

from eomt.train_scripts.data.dataset_folder import load_split
from eomt.train_scripts.data.sharing import EVEN_GROUPS, check_rank, every_nth_row, row_groups_or_rows


def names_of(rows) -> list[str]:
    return [row["image_id"] for row in rows]


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_every_nth_row(folder, world_size):
    every = names_of(load_split(folder, "train"))
    for rank in range(world_size):
        assert names_of(every_nth_row(load_split(folder, "train"), world_size, rank)) == every[rank::world_size]


def test_whole_row_groups_where_there_are_enough(folder, monkeypatch):
    rows = load_split(folder, "train")
    groups = [names_of(rows.shard(rows.num_shards, index)) for index in range(rows.num_shards)]
    assert 3 <= len(groups) < EVEN_GROUPS
    assert names_of(row_groups_or_rows(rows, 3, 1)) == names_of(every_nth_row(rows, 3, 1))
    monkeypatch.setattr("eomt.train_scripts.data.sharing.EVEN_GROUPS", 1)
    for rank in range(3):
        assert names_of(row_groups_or_rows(rows, 3, rank)) == [name for group in groups[rank::3] for name in group]


@pytest.mark.parametrize(("world_size", "rank"), [(2, 2), (1, -1), (0, 0)])
def test_ranks_that_do_not_exist(world_size, rank):
    with pytest.raises(ValueError, match=f"rank={rank} must be in 0..{world_size - 1}"):
        check_rank(world_size, rank)
