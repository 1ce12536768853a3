"""What of a used folder may be gone on with, begun in, or removed."""

import pytest

from eomt.train_scripts.evaluation.checkpoints import FINISHED, mark_whole
from eomt.train_scripts.training.deciding import LATER
from eomt.train_scripts.training.run_record import RunRecord
from eomt.train_scripts.training.used_folder import RUN, check_beginning, check_foreign, check_same, is_run, remove_run

RECORD = RunRecord({"seed": 1}, {"rate": 0.5})


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("content", [(), ("train.log", "slurm-1.out", ".gitkeep")])
def test_a_run_begins_in_an_empty_folder_and_beside_logs(tmp_path, content):
    for name in content:
        (tmp_path / name).touch()
    check_beginning(tmp_path, RECORD)
    check_beginning(tmp_path / "new", RECORD)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "notes.txt", "checkpoint-5"])
def test_what_is_no_run_is_refused(tmp_path, name):
    (tmp_path / name).touch()
    assert not is_run(tmp_path)
    with pytest.raises(ValueError, match=f"output_dir=.* holds something else than a run, such as {name}; choose another folder"):
        check_beginning(tmp_path, RECORD)


def test_a_file_is_refused(tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(ValueError, match="is a file; choose a folder"):
        check_foreign(tmp_path / "out")


@pytest.mark.parametrize("sign", [RUN, FINISHED, "checkpoint-3/whole.json"])
def test_signs_of_a_run(tmp_path, sign):
    (tmp_path / "model.safetensors").touch()
    (tmp_path / sign).parent.mkdir(exist_ok=True)
    (tmp_path / sign).touch()
    assert is_run(tmp_path)
    check_foreign(tmp_path)


def test_all_options_that_differ_are_named(tmp_path):
    check_same(tmp_path, RECORD, RunRecord({"seed": 1, "more": 2}, {"rate": 0.5}))
    with pytest.raises(ValueError, match="this one having seed=1 instead of 2, rate=0.5 instead of None. Give the same to go on"):
        check_same(tmp_path, RECORD, RunRecord({"seed": 2}, {}))


def test_what_a_run_has_left_is_removed_and_nothing_else(tmp_path):
    for name in ("checkpoint-2", "checkpoint-best", "runs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    mark_whole(tmp_path / "checkpoint-2")
    left = [FINISHED, RUN, "model-00001-of-00002.safetensors", "model.safetensors.index.json", "picture.png", "curves.png"]
    for name in [*left, "eval_results.json", "config.json", "scores.json", "mine.png", "model.txt"]:
        (tmp_path / name).touch()
    remove_run(tmp_path)
    assert names(tmp_path) == ["checkpoint-best", "mine.png", "model.txt", RUN, "runs", "scores.json"]


def test_a_run_from_before_an_option_goes_on_with_its_default(tmp_path):
    check_same(tmp_path, RunRecord({"seed": 1}, {"rate": 0.5, **LATER}), RECORD)
    with pytest.raises(ValueError, match="this one having lora=True instead of False. Give the same to go on"):
        check_same(tmp_path, RunRecord({"seed": 1}, {"rate": 0.5, **LATER, "lora": True}), RECORD)
