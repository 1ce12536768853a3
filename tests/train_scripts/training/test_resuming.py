"""What a run goes on from, what it takes for its end, and what it refuses."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerState

from eomt.train_scripts.data.scenes import write_scenes
from eomt.train_scripts.data.training_stream import WorkerPosition
from eomt.train_scripts.evaluation.checkpoints import AUTO, FINISHED, MARK, last_whole, mark_whole
from eomt.train_scripts.training.resuming import Resumption, Start
from eomt.train_scripts.training.run_record import RunRecord, record_file
from eomt.train_scripts.training.trainer import EomtTrainer

ORDER, SETTINGS = {"seed": 1}, {"rate": 0.5}


def stored_checkpoint(output_dir, step, settings=SETTINGS, order=ORDER, seconds=(30.0, 99.0)):
    """A whole checkpoint of two processes, which have done as many batches as steps, and twice as many."""
    folder = output_dir / f"checkpoint-{step}"
    folder.mkdir()
    for process in range(2):
        record = RunRecord(order, settings, {0: WorkerPosition(step * (process + 1), 0, step)})
        record.write(folder / record_file(process), seconds[process], skipped=process)
    TrainerState(global_step=step).save_to_json(str(folder / "trainer_state.json"))
    mark_whole(folder)
    return folder


def resumption(output_dir, process=0, max_steps=10, minutes=None, order=ORDER, settings=SETTINGS):
    return Resumption(output_dir, RunRecord(order, settings), process, max_steps, minutes)


@pytest.mark.parametrize("asked", [None, False, "", AUTO])
def test_a_run_begins_at_its_first_step_unless_there_is_something_to_resume(tmp_path, asked):
    assert resumption(tmp_path).start(asked) == Start()


@pytest.mark.parametrize("asked", [AUTO, True, "checkpoint-4"])
def test_each_process_has_its_own_record_and_the_first_ones_clock(tmp_path, asked):
    folders = [stored_checkpoint(tmp_path, step) for step in (2, 4)]
    for process in range(2):
        start = resumption(tmp_path, process).start(str(tmp_path / asked) if asked == "checkpoint-4" else asked)
        assert (start.folder, start.seconds, start.ended) == (folders[1], 30.0, False)
        assert start.record.positions == {0: WorkerPosition(4 * (process + 1), 0, 4)} and start.record.skipped == process


@pytest.mark.parametrize(("max_steps", "minutes", "ended"), [(10, None, False), (4, None, True), (4, 0.6, False), (10, 0.5, True)])
def test_a_checkpoint_of_the_last_step_or_minute_is_the_end(tmp_path, max_steps, minutes, ended):
    stored_checkpoint(tmp_path, 4)
    assert resumption(tmp_path, max_steps=max_steps, minutes=minutes).start(AUTO).ended == ended


def test_a_finished_run_is_the_end_and_only_for_the_same_data_and_settings(tmp_path):
    stored_checkpoint(tmp_path, 4)
    RunRecord(ORDER, SETTINGS, {0: WorkerPosition(9, 1, 1)}).write(tmp_path / FINISHED, 50.0, skipped=2)
    start = resumption(tmp_path).start(AUTO)
    assert (start.folder, start.seconds, start.ended, start.record.skipped) == (tmp_path, 50.0, True, 2)
    with pytest.raises(
        ValueError, match="checkpoint-4' is followed by the finished model in output_dir=.*choose another output_dir"
    ):
        resumption(tmp_path).start(str(tmp_path / "checkpoint-4"))
    for changed, message in (({"settings": {"rate": 1}}, "rate=1 instead of 0.5"), ({"order": {"seed": 2}}, "seed=2 instead of 1")):
        with pytest.raises(
            ValueError, match=f"output_dir=.* holds a run of other options, this one having {message}. .*--overwrite"
        ):
            resumption(tmp_path, **changed).start(AUTO)
        assert resumption(tmp_path, **changed).start(AUTO, overwrite=True) == Start()


def test_a_run_that_was_interrupted_goes_on_whatever_it_began_with(tmp_path):
    """The same command, which names another run's checkpoint, is given again."""
    (tmp_path / "other").mkdir()
    (tmp_path / "new").mkdir()
    other, last = stored_checkpoint(tmp_path / "other", 4, settings={"rate": 3}), stored_checkpoint(tmp_path / "new", 6)
    assert resumption(tmp_path / "new").start(str(other)).folder == last
    assert resumption(tmp_path / "empty").start(str(other)).folder == other


def test_a_checkpoint_that_others_follow_is_gone_on_from_in_another_folder(tmp_path):
    earlier, _ = (stored_checkpoint(tmp_path, step) for step in (2, 4))
    with pytest.raises(ValueError, match="checkpoint-2' is followed by checkpoint-4 in output_dir="):
        resumption(tmp_path).start(str(earlier))
    assert resumption(tmp_path / "another").start(str(earlier)).folder == earlier


def test_of_a_run_that_left_no_checkpoint_only_the_same_may_begin(tmp_path):
    resumption(tmp_path).write_begin(overwrite=False)
    assert resumption(tmp_path, settings={"rate": 1}).start(AUTO) == Start()  # nothing but the record is lost
    (tmp_path / "picture.png").touch()
    assert resumption(tmp_path).start(AUTO) == Start()
    with pytest.raises(ValueError, match="holds a run of other options, this one having rate=1 instead of 0.5"):
        resumption(tmp_path, settings={"rate": 1}).start(AUTO)


def test_other_settings_are_for_those_who_name_the_checkpoint_and_another_order_for_nobody(tmp_path):
    folder = stored_checkpoint(tmp_path, 4)
    with pytest.raises(ValueError, match="holds a run of other options, this one having rate=1 instead of 0.5"):
        resumption(tmp_path, settings={"rate": 1}).start(True)
    assert resumption(tmp_path, settings={"rate": 1}).start(str(folder)).folder == folder
    with pytest.raises(ValueError, match="checkpoint-4'.*in another order, having seed=2 instead of 1"):
        resumption(tmp_path, order={"seed": 2}).start(str(folder))


def test_a_third_process_has_no_record_in_a_checkpoint_of_two(tmp_path):
    folder = stored_checkpoint(tmp_path, 4)
    with pytest.raises(ValueError, match="seed=1 instead of None"):
        resumption(tmp_path, process=2).start(str(folder))


def test_nothing_of_what_was_trained_on_is_decoded_again(tiny_run, tmp_path, monkeypatch):
    words = ["--max_steps", "5", "--save_strategy", "steps", "--save_steps", "4", "--eval_split", "", "--save_total_limit", "0"]
    tiny_run(*words)
    decoded = []
    decode = "eomt.train_scripts.data.sample_decoder.decode_row"
    monkeypatch.setattr(decode, _counting(decoded))
    resume = ["--output_dir", str(tmp_path / "again"), "--resume_from_checkpoint", str(tmp_path / "checkpoint-4")]
    resumed = tiny_run(*words, *resume)
    assert resumed.state.global_step == 5 and len(decoded) == 4


def _counting(calls: list):
    from eomt.train_scripts.data.samples import decode_row

    def counted(*arguments):
        calls.append(arguments)
        return decode_row(*arguments)

    return counted


def test_another_order_of_the_data_is_refused(tiny_run, tmp_path):
    words = ["--max_steps", "2", "--save_strategy", "steps", "--save_steps", "1", "--eval_split", ""]
    tiny_run(*words)
    different = "seed=1 instead of 42, shuffle_buffer=5 instead of 8"
    with pytest.raises(ValueError, match=f"would see other images, or in another order, having {different}"):
        new = ["--output_dir", str(tmp_path / "new"), "--resume_from_checkpoint", str(tmp_path / "checkpoint-2")]
        tiny_run(*words, "--seed", "1", "--shuffle_buffer", "5", *new)


def test_data_that_were_written_anew_are_other_data(tiny_run, tmp_path):
    """Mended annotations in a folder of the same name: the finished model is not taken for theirs, nor a checkpoint."""
    words = [
        "--max_steps",
        "2",
        "--save_strategy",
        "steps",
        "--save_steps",
        "1",
        "--eval_split",
        "",
        "--data",
        str(tmp_path / "data"),
    ]
    words += ["--output_dir", str(tmp_path / "model")]
    write_scenes(tmp_path / "data", train=8, val=1)
    tiny_run(*words)
    shutil.rmtree(tmp_path / "data")
    write_scenes(tmp_path / "data", train=8, val=1)
    assert tiny_run(*words) is None  # the same again
    shutil.rmtree(tmp_path / "data")
    write_scenes(tmp_path / "data", train=8, val=1, seed=1)
    with pytest.raises(ValueError, match="holds a run of other options, this one having data_digest="):
        tiny_run(*words)


def test_auto_takes_no_run_of_other_settings_for_this_one(tiny_run, tmp_path):
    words = ["--max_steps", "2", "--save_strategy", "steps", "--save_steps", "1", "--eval_split", ""]
    tiny_run(*words)
    (tmp_path / FINISHED).unlink()
    different = "learning_rate=0.5 instead of 0.0001, image_size=96 instead of 112"
    with pytest.raises(ValueError, match=f"holds a run of other options, this one having {different}"):
        tiny_run(*words, "--learning_rate", "0.5", "--image_size", "96")
    named = ["--resume_from_checkpoint", str(tmp_path / "checkpoint-2")]
    assert tiny_run(*words, "--learning_rate", "0.5", *named).state.global_step == 2


def test_what_is_not_whole_is_not_resumed(tiny_run, tmp_path):
    words = ["--max_steps", "1", "--save_strategy", "steps", "--save_steps", "1", "--eval_split", ""]
    trainer = tiny_run(*words, "--save_only_model", "true")
    assert not (tmp_path / "checkpoint-1" / MARK).exists()
    with pytest.raises(ValueError, match="half-written, or of a run with save_only_model"):
        tiny_run(*words, "--resume_from_checkpoint", str(tmp_path / "checkpoint-1"))
    (tmp_path / FINISHED).unlink()
    with pytest.raises(ValueError, match="has no whole checkpoint; auto starts anew"):
        trainer.train(resume_from_checkpoint=True)


BUDGETS = {
    "steps": ["--max_steps", "3", "--save_strategy", "steps", "--save_steps", "0.5", "--ema_decay", "0.5"],
    "minutes": ["--minutes", "0.02", "--save_strategy", "steps", "--save_steps", "0.5", "--ema_decay", "0.5"],
    "the best": ["--recipe", "panoptic", "--save_strategy", "best", "--max_steps", "4", "--eval_steps", "1"],
}


ENDS = [("steps", "scores"), ("steps", "mark"), ("minutes", "mark"), ("the best", "scores")]


@pytest.mark.parametrize(("budget", "lost"), ENDS)
def test_a_run_that_has_ended_is_not_trained_further(tiny_run, tmp_path, monkeypatch, budget, lost):
    """`lost`: it was killed when it only had to be scored, or to be stored; then the last checkpoint says so."""
    words = [*BUDGETS[budget], "--save_total_limit", "1"]
    first = tiny_run(*words)
    mark = tmp_path / FINISHED
    stored, results = load_file(tmp_path / "model.safetensors"), json.loads((tmp_path / "eval_results.json").read_text())
    trained, record = json.loads((tmp_path / "train_results.json").read_text()), RunRecord.read(mark)
    if lost == "scores":
        record.write(mark, record.seconds, record.skipped)
    else:
        mark.unlink()
    monkeypatch.setattr(EomtTrainer, "training_step", None)
    again = tiny_run(*words)
    if lost == "scores":
        assert json.loads((tmp_path / "train_results.json").read_text()) == trained
        assert RunRecord.read(mark) == record
    assert RunRecord.read(mark).seconds > 0 and "minutes, evaluations included" not in (tmp_path / "README.md").read_text()
    assert again.state.global_step == first.state.global_step > 0
    torch.testing.assert_close(load_file(tmp_path / "model.safetensors"), stored, rtol=0, atol=0)
    assert json.loads((tmp_path / "eval_results.json").read_text())["eval_pq"] == results["eval_pq"]
    assert tiny_run(*words) is None


def test_a_budget_of_minutes_goes_on_where_it_was(tiny_run, tmp_path, monkeypatch):
    words = ["--minutes", "0.05", "--save_strategy", "steps", "--save_steps", "0.4", "--eval_split", "", "--save_total_limit", "0"]
    first = tiny_run(*words)
    place = json.loads((last_whole(tmp_path) / "place_in_data_0.json").read_text())
    assert place["seconds"] >= 3 and len(list(tmp_path.glob("checkpoint-*"))) == 3
    checkpoint = min(tmp_path.glob("checkpoint-*"), key=lambda path: int(path.name[11:]))
    spent = json.loads((checkpoint / "place_in_data_0.json").read_text())["seconds"]
    resumed = tiny_run(*words, "--resume_from_checkpoint", str(checkpoint), "--output_dir", str(tmp_path / "again"))
    assert first.progress.value == resumed.progress.value == 1
    assert 1.2 <= spent < 2.4 and resumed.progress._before == 0
    assert 3 <= json.loads((tmp_path / "again" / FINISHED).read_text())["seconds"] < 4.5  # with those before the interruption
    assert json.loads((tmp_path / "again/train_results.json").read_text())["train_runtime"] < 3 - spent + 1.5


def test_the_options_given_are_those_that_the_card_shows(tiny_run, tmp_path):
    """Trainer changes its copy of them: it rotates no checkpoints, and a resumed run is not scored at its start."""
    words = ["--max_steps", "2", "--save_strategy", "steps", "--save_steps", "1", "--eval_on_start", "true", "--ema_decay", "0.9"]
    words += ["--save_total_limit", "2"]
    tiny_run(*words)
    again = tmp_path / "again"
    resumed = tiny_run(*words, "--resume_from_checkpoint", str(tmp_path / "checkpoint-1"), "--output_dir", str(again))
    assert [entry["step"] for entry in resumed.state.log_history if "eval_pq" in entry] == [0, 2]
    assert (resumed.args.save_total_limit, resumed.args.eval_on_start) == (None, False)
    card = (again / "README.md").read_text()
    assert "save_total_limit: 2" in card and "eval_on_start: true" in card


def test_the_first_checkpoint_of_two_may_go_only_when_the_second_is_whole(tiny_run, tmp_path, monkeypatch):
    seen = []
    save = EomtTrainer._save_rng_state

    def look(self, folder):
        seen.append(sorted(path.name for path in tmp_path.glob("checkpoint-*") if (path / MARK).exists()))
        return save(self, folder)

    monkeypatch.setattr(EomtTrainer, "_save_rng_state", look)
    words = ["--max_steps", "3", "--save_strategy", "steps", "--save_steps", "1", "--save_total_limit", "1", "--eval_split", ""]
    tiny_run(*words)
    assert seen == [[], ["checkpoint-1"], ["checkpoint-2"]]
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-3"]
