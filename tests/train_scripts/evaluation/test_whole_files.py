"""Files that appear when they are whole."""

import pytest

from eomt.train_scripts.evaluation.whole_files import written_whole


def test_a_file_appears_when_all_of_it_is_written(tmp_path):
    path = tmp_path / "new" / ("x" * 250 + ".json")  # 255 bytes, as long as a name may be
    with written_whole(path) as part:
        part.write_text("1")
        assert not path.exists() and part.parent == path.parent
    assert path.read_text() == "1" and list(path.parent.iterdir()) == [path]
    with pytest.raises(ZeroDivisionError), written_whole(path) as part:
        part.write_text("2")
        raise ZeroDivisionError
    assert path.read_text() == "1"


def test_files_of_one_folder_are_written_beside_each_other(tmp_path):
    with written_whole(tmp_path / "a.json") as first, written_whole(tmp_path / "b.json") as second:
        first.write_text("1")
        second.write_text("2")
    assert [(tmp_path / name).read_text() for name in ("a.json", "b.json")] == ["1", "2"]


def test_nothing_is_left_of_a_file_whose_name_is_too_long(tmp_path):
    with pytest.raises(OSError, match="File name too long"), written_whole(tmp_path / ("x" * 300)) as part:
        part.write_text("1")
    assert not list(tmp_path.iterdir())
