"""What a process stores about its run comes back as it was."""

import json

from eomt.train_scripts.data.training_stream import WorkerPosition
from eomt.train_scripts.training.run_record import RunRecord, differences, record_file


def batch(worker, epoch, *rows):
    return [{"image_id": f"{epoch} {row}", "worker": worker, "epoch": epoch, "row": row} for row in rows]


def test_a_batch_moves_its_worker_to_its_last_row():
    record = RunRecord({"seed": 1})
    for images in (batch(0, 0, 1, 2), batch(1, 0, 1, 2), batch(0, 0, 3, 4), batch(0, 1, 1, 2)):
        record.add(images)
    assert record.positions == {0: WorkerPosition(batches=3, epoch=1, rows=2), 1: WorkerPosition(batches=1, epoch=0, rows=2)}


def test_it_is_stored_and_read_again(tmp_path):
    record = RunRecord({"seed": 1}, {"learning_rate": 0.5, "timm_model": None})
    record.add(batch(2, 3, 7, 9))
    record.write(tmp_path / record_file(4), seconds=2.5, skipped=6)
    assert [path.name for path in tmp_path.iterdir()] == ["place_in_data_4.json"]
    again = RunRecord.read(tmp_path / record_file(4))
    assert (again.order, again.settings, again.positions) == (record.order, record.settings, record.positions)
    assert (again.seconds, again.skipped) == (2.5, 6)


def test_the_stored_format_stays(tmp_path):
    """As runs have stored it, which can be resumed."""
    place = {"batches": 12, "epoch": 4, "rows": 5}
    stored = {"order": {"seed": 42}, "settings": {"bf16": False}, "places": {"0": place}, "seconds": 0.5, "skipped": 1}
    (tmp_path / "stored.json").write_text(json.dumps(stored))
    record = RunRecord.read(tmp_path / "stored.json")
    assert record == RunRecord({"seed": 42}, {"bf16": False}, {0: WorkerPosition(12, 4, 5)}, 0.5, 1)
    record.write(tmp_path / "again.json", 0.5, 1)
    assert json.loads((tmp_path / "again.json").read_text()) == stored


def test_no_file_is_the_record_of_no_run(tmp_path):
    assert differences({"seed": 42}, RunRecord.read(tmp_path / "none.json").order) == "seed=42 instead of None"


def test_differences_name_what_is_wanted_and_what_is_stored():
    assert differences({"a": 1, "b": None, "c": 2}, {"a": 1, "c": 3, "d": 4}) == "c=2 instead of 3"
