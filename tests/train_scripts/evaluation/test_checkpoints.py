"""A checkpoint is whole or not resumed from."""

import pytest

from eomt.train_scripts.evaluation.checkpoints import MARK, check_whole, last_whole, mark_whole, unmark, write_whole


@pytest.fixture
def run_folder(tmp_path):
    """Whole checkpoints of the steps 2 and 10."""
    for step in (2, 10):
        folder = tmp_path / f"checkpoint-{step}"
        (folder / "shards").mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(b"weights")
        (folder / "shards" / "0.distcp").write_bytes(b"shard")
        mark_whole(folder)
    return tmp_path


def test_the_last_is_that_of_the_most_steps(run_folder):
    assert last_whole(run_folder) == run_folder / "checkpoint-10"
    assert last_whole(run_folder / "elsewhere") is None


@pytest.mark.parametrize("harm", ["unmark", "truncate", "lose", "lose deep"])
def test_what_is_not_whole_is_refused_and_passed_over(run_folder, harm, caplog):
    folder = run_folder / "checkpoint-10"
    {
        "unmark": lambda: unmark(folder),
        "truncate": lambda: (folder / "model.safetensors").write_bytes(b"weig"),
        "lose": lambda: (folder / "model.safetensors").unlink(),
        "lose deep": lambda: (folder / "shards" / "0.distcp").unlink(),
    }[harm]()
    reason = f"lacks {MARK}, so it is half-written" if harm == "unmark" else "has lost or changed the files"
    with pytest.raises(ValueError, match=f"resume_from_checkpoint='.*checkpoint-10'.*{reason}"):
        check_whole(folder)
    assert last_whole(run_folder) == run_folder / "checkpoint-2"
    assert reason in caplog.text


def test_a_path_that_is_no_checkpoint(tmp_path):
    with pytest.raises(ValueError, match="no such folder; give a checkpoint-N of the output folder, or auto"):
        check_whole(tmp_path / "checkpoint-3")


def test_a_text_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    write_whole(tmp_path / "a.json", "before")

    def full(*_):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="no space"):
        patch.setattr("eomt.train_scripts.evaluation.checkpoints.os.fsync", full)
        write_whole(tmp_path / "a.json", "after")
    assert (tmp_path / "a.json").read_text() == "before"
    write_whole(tmp_path / "a.json", "after")
    assert (tmp_path / "a.json").read_text() == "after" and len(list(tmp_path.iterdir())) == 1
