"""Datasets on disk: written whole or not at all, read with clear errors."""

import json

import datasets
import fsspec
import pytest

from eomt.image_processing.augmentation import training_augmentation
from eomt.train_scripts.data import scenes
from eomt.train_scripts.data.dataset_folder import (
    FEATURES,
    Labels,
    count_rows,
    load_split,
    read_labels,
    shard_paths,
    write_labels,
)
from eomt.train_scripts.data.shard_writer import write_split
from eomt.train_scripts.data.training_stream import training_stream


def rows(count: int, start: int = 0) -> list[dict]:
    return [scenes.make_row(0, "train", index) for index in range(start, start + count)]


@pytest.fixture
def folder(tmp_path):
    write_labels(tmp_path, scenes.LABELS)
    write_split(tmp_path, "train", rows(10), 10, rows_a_shard=4)
    return tmp_path


def test_shards_rows_and_labels_come_back(folder):
    assert [path.name for path in shard_paths(folder, "train")] == [f"train-0000{index}-of-00003.parquet" for index in range(3)]
    assert count_rows(folder, "train") == 10
    assert read_labels(folder) == scenes.LABELS
    assert list(load_split(folder, "train")) == [{**row, "rles": None} for row in rows(10)]
    assert not list(folder.glob(".*"))


def test_random_access(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    split = load_split(folder, "train", streaming=False)
    assert len(split) == 10 and split[7] == {**rows(1, 7)[0], "rles": None}


def test_a_folder_elsewhere_is_read_as_one_on_disk(folder):
    """As on the Hub, through a file system of fsspec."""
    memory = fsspec.filesystem("memory")
    memory.put(f"{folder}/*", "/bucket/scenes/")
    assert read_labels("memory://bucket/scenes") == scenes.LABELS and count_rows("memory://bucket/scenes", "train") == 10
    assert list(load_split("memory://bucket/scenes", "train")) == list(load_split(folder, "train"))
    stream = training_stream("memory://bucket/scenes", "train", training_augmentation(32), 0)
    assert next(iter(stream))["image"].shape == (3, 32, 32)
    with pytest.raises(ValueError, match="data folder memory://bucket/gone does not exist"):
        read_labels("memory://bucket/gone")
    with pytest.raises(ValueError, match="split 'val' is not in memory://bucket/scenes"):
        load_split("memory://bucket/scenes", "val")


def test_shards_of_others_without_run_lengths(tmp_path):
    features = datasets.Features({name: feature for name, feature in FEATURES.items() if name != "rles"})
    datasets.Dataset.from_list(rows(2), features=features).to_parquet(tmp_path / "train-00000-of-00001.parquet")
    assert list(load_split(tmp_path, "train")) == rows(2)


def test_columns_of_others_are_not_read(tmp_path):
    wider = datasets.Features({**FEATURES, "file_name": datasets.Value("string")})
    stored = [{**row, "rles": None} for row in rows(2)]
    named = datasets.Dataset.from_list([{**row, "file_name": "x"} for row in stored], features=wider)
    named.to_parquet(tmp_path / "train-00000-of-00001.parquet")
    assert list(load_split(tmp_path, "train")) == stored
    narrower = datasets.Features({name: feature for name, feature in FEATURES.items() if name != "rles"})
    datasets.Dataset.from_list(rows(2), features=narrower).to_parquet(tmp_path / "val-00000-of-00002.parquet")
    datasets.Dataset.from_list(stored, features=FEATURES).to_parquet(tmp_path / "val-00001-of-00002.parquet")
    with pytest.raises(ValueError, match="one has the column rles, one has not"):
        load_split(tmp_path, "val")


def test_labels_of_splits_must_agree(folder):
    write_labels(folder, scenes.LABELS)
    with pytest.raises(ValueError, match="other classes"):
        write_labels(folder, Labels(["cat"], [True]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "can't be read"),
        ('{"classes": [{"name": "a"}]}', "isthing"),
        ("[]", "can't be read"),
        ('{"classes": []}', "empty"),
        ('{"classes": [{"name": "a", "isthing": "false"}]}', "isthing of 'a' is 'false'. It must be true or false"),
    ],
)
def test_malformed_labels(tmp_path, content, message):
    (tmp_path / "labels.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        read_labels(tmp_path)


def test_missing_folder_labels_and_split(folder, tmp_path):
    with pytest.raises(ValueError, match="nowhere does not exist"):
        count_rows(tmp_path / "nowhere", "train")
    with pytest.raises(ValueError, match=r"split 'val' is not in .* \['train'\]"):
        load_split(folder, "val")
    (folder / "labels.json").unlink()
    with pytest.raises(ValueError, match="labels.json: no such file"):
        read_labels(folder)


def test_a_half_written_split_is_not_taken_for_whole(folder):
    (folder / "train-00001-of-00003.parquet").unlink()
    with pytest.raises(ValueError, match=r"lacks the train shards \[1\]"):
        count_rows(folder, "train")


def test_mixed_and_broken_shards(folder):
    stray = folder / "train-00000-of-00002.parquet"
    stray.write_bytes(b"PAR1")
    with pytest.raises(ValueError, match="mixes train shards"):
        shard_paths(folder, "train")
    stray.unlink()
    whole = (folder / "train-00002-of-00003.parquet").read_bytes()
    (folder / "train-00002-of-00003.parquet").write_bytes(whole[:-100])
    with pytest.raises(ValueError, match="train-00002-of-00003.parquet: not a complete parquet file"):
        load_split(folder, "train")


def test_missing_columns(tmp_path):
    datasets.Dataset.from_dict({"image_id": ["a"]}).to_parquet(tmp_path / "train-00000-of-00001.parquet")
    with pytest.raises(ValueError, match=r"lacks the columns \['id_map', 'image', 'segments'\]"):
        load_split(tmp_path, "train")


def test_labels_file_has_the_documented_form(folder):
    entry = json.loads((folder / "labels.json").read_text())["classes"][0]
    assert entry == {"name": "bee", "isthing": True}
