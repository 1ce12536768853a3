"""Rows of a dataset in order: counted without being read, one by one, each with a name of its own."""

import datasets
import pytest

from eomt.train_scripts.data.formats.hub_rows import HubSplit, RowsInOrder, is_hub_folder, open_splits


@pytest.fixture
def folder(tmp_path):
    """Two parquet files, of 3 and 2 rows."""
    for part, ids in enumerate((["a", "b", "a"], ["c", "d"])):
        datasets.Dataset.from_dict({"id": ids}).to_parquet(tmp_path / f"train-{part:05d}-of-00002.parquet")
    return tmp_path


def test_rows_are_read_once_and_in_order_and_names_are_unique(folder):
    split = open_splits(str(folder))["train"]
    passes = []

    def counted():
        passes.append(1)
        yield from split.rows

    rows = RowsInOrder(HubSplit(datasets.IterableDataset.from_generator(counted), 5, [], ""), [folder], "image")
    assert [rows[number][0] for number in (0, 1, 2, 4)] == ["a", "b", "a (2)", "d"] and len(passes) == 1
    assert rows[3][0] == "c" and len(passes) == 2  # it begins again
    with pytest.raises(IndexError):
        rows[5]


def test_parquet_files_are_counted_by_their_footers_and_others_by_reading(folder, monkeypatch):
    split = open_splits(str(folder))["train"]
    assert split.total is None and split.count() == 5
    assert HubSplit(split.rows, None, ["rows.json"], "").count() == 5
    monkeypatch.setattr(datasets.IterableDataset, "__iter__", None)
    assert split.count() == 5 and HubSplit(split.rows, 7, [], "").count() == 7


@pytest.mark.parametrize("name", ["parquet", "imagefolder", "json"])
def test_a_folder_that_is_named_as_a_loader_of_datasets(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    datasets.Dataset.from_dict({"id": ["a", "b"]}).to_parquet(tmp_path / name / "train.parquet")
    datasets.Dataset.from_dict({"id": ["c"]}).to_parquet(tmp_path / "train.parquet")
    assert [row["id"] for row in open_splits(name)["train"].rows] == ["a", "b"]


def test_the_state_changes_with_the_files(folder):
    before = open_splits(str(folder))["train"].state
    assert before == open_splits(str(folder))["train"].state
    datasets.Dataset.from_dict({"id": ["e"]}).to_parquet(folder / "train-00001-of-00002.parquet")
    assert before != open_splits(str(folder))["train"].state


def test_folders_that_look_like_a_dataset(folder, tmp_path):
    assert is_hub_folder(folder)
    (tmp_path / "empty").mkdir()
    assert not is_hub_folder(tmp_path / "empty")
    (tmp_path / "empty" / "train").mkdir()
    (tmp_path / "empty" / "train" / "metadata.csv").write_text("file_name,mask_file_name")
    assert is_hub_folder(tmp_path / "empty")
