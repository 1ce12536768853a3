"""Tables of segments, without images."""

import numpy as np
import pytest

from eomt.train_scripts.data.dataset_folder import Labels, write_labels
from eomt.train_scripts.data.formats.segment_rows import encoded_ids
from eomt.train_scripts.data.scenes import make_row
from eomt.train_scripts.data.segment_tables import most_things, segment_tables
from eomt.train_scripts.data.shard_writer import write_split


def row(index: int, categories: list[int], crowds: int = 0) -> dict:
    ids = np.zeros((112, 112), np.int64)
    ids[0, 1 : len(categories) + 1] = range(1, len(categories) + 1)
    table = [{"id": i, "category": one, "iscrowd": i <= crowds} for i, one in enumerate(categories, start=1)]
    return {**make_row(0, "train", index), "id_map": encoded_ids(ids), "segments": table}


def test_things_of_the_fullest_image_over_all_shards(tmp_path):
    rows = [row(0, [0, 1, 1]), row(1, [1] * 5 + [0] * 20, crowds=1), row(2, []), row(3, [1])]
    write_labels(tmp_path, Labels(["sky", "cat"], [False, True]))
    write_split(tmp_path, "train", rows, len(rows), rows_a_shard=2)
    assert [len(table) for table in segment_tables(tmp_path, "train")] == [3, 25, 0, 1]
    assert most_things(tmp_path, "train") == 4  # without the crowd, and the sky
    write_split(tmp_path, "empty", [row(0, [])], 1)
    assert most_things(tmp_path, "empty") == 0
    with pytest.raises(ValueError, match="val"):
        most_things(tmp_path, "val")
