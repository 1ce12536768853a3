"""Shards: written whole or not at all, in row groups that can be shared out, and moved together when all are there."""

import json
import os

import pyarrow.parquet as pq
import pytest

from eomt.train_scripts.data import scenes, shard_writer
from eomt.train_scripts.data.dataset_folder import count_rows, has_split, load_split, shard_paths
from eomt.train_scripts.data.shard_writer import SplitWriter, finish_sealed, write_split


def rows(count: int, start: int = 0) -> list[dict]:
    return [scenes.make_row(0, "train", index) for index in range(start, start + count)]


@pytest.fixture
def folder(tmp_path):
    write_split(tmp_path, "train", rows(10), 10, rows_a_shard=4)
    return tmp_path


@pytest.mark.parametrize("total", [3, 5])
def test_a_wrong_total_writes_nothing(tmp_path, total):
    with pytest.raises(ValueError, match=f"total is {total}"):
        write_split(tmp_path, "train", rows(4), total)
    assert not list(tmp_path.glob("*.parquet"))


def test_an_existing_split_is_not_written_over(folder):
    before = shard_paths(folder, "train")[0].read_bytes()
    with pytest.raises(ValueError, match="has a split 'train' already"):
        write_split(folder, "train", rows(2), 2)
    write_split(folder, "val", rows(2), 2)
    assert shard_paths(folder, "train")[0].read_bytes() == before and count_rows(folder, "val") == 2


def group_sizes(path) -> list[int]:
    footer = pq.read_metadata(path)
    return [footer.row_group(index).num_rows for index in range(footer.num_row_groups)]


def test_a_small_split_has_row_groups_to_share_out(tmp_path):
    write_split(tmp_path, "train", rows(40), 40)
    assert group_sizes(shard_paths(tmp_path, "train")[0]) == [2] * 20


def test_row_groups_of_large_images_have_fewer_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(shard_writer, "MIN_GROUPS", 1)
    monkeypatch.setattr(shard_writer, "MAX_GROUP_BYTES", 2000)
    large = [
        {**row, "image": {"bytes": bytes(900), "path": None}, "id_map": {"bytes": bytes(200), "path": None}} for row in rows(5)
    ]
    write_split(tmp_path, "train", large, 5)
    assert group_sizes(shard_paths(tmp_path, "train")[0]) == [2, 2, 1]


def write(folder, split: str, plan: dict) -> SplitWriter:
    """A writer of four rows in two shards, all written."""
    writer = SplitWriter(folder, split, 4, plan, rows_a_shard=2)
    for number, path in enumerate(writer.shards):
        writer.write_shard(path, rows(2, 2 * number))
    return writer


def test_shards_of_another_plan_are_not_kept(tmp_path):
    first = write(tmp_path, "train", {"void": [255]})
    assert not has_split(tmp_path, "train")
    again = SplitWriter(tmp_path, "train", 4, {"void": [255]}, rows_a_shard=2)
    assert again.shards == first.shards and all(path.is_file() for path in again.shards)
    other = SplitWriter(tmp_path, "train", 4, {"void": []}, rows_a_shard=2)
    assert not any(path.exists() for path in other.shards)


def test_sealed_shards_are_moved_by_the_next_run_and_others_are_not(tmp_path, monkeypatch):
    writers = [write(tmp_path, split, {}) for split in ("train", "val", "test")]
    for writer in writers[:2]:
        writer.seal({"train": {"void": [1]}, "val": {"void": [2]}})
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", lambda source, target: (_ for _ in ()).throw(KeyboardInterrupt))
        writers[0].finish()
    assert finish_sealed(tmp_path) == {"train": {"void": [1]}, "val": {"void": [2]}}
    assert [row["image_id"] for row in load_split(tmp_path, "train")] == [row["image_id"] for row in rows(4)]
    assert count_rows(tmp_path, "val") == 4 and not has_split(tmp_path, "test")
    assert [path.name for path in tmp_path.glob(".*")] == [".test.partial"]


def test_the_plan_can_be_read(tmp_path):
    writer = SplitWriter(tmp_path, "train", 4, {"void": [255]}, rows_a_shard=2)
    assert json.loads((writer.part / "plan.json").read_text()) == {"shards": 2, "rows_a_shard": 2, "plan": {"void": [255]}}
