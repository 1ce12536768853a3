"""Runs that are interrupted and gone on with, refused, or shared by processes."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from predicted_photos import run

from eomt.train_scripts.data import scenes
from eomt.train_scripts.evaluation.inference_options import PredictOptions
from eomt.train_scripts.evaluation.prediction_files import PredictionFiles
from eomt.train_scripts.evaluation.prediction_formats import PanopticFormat
from eomt.train_scripts.evaluation.tasks import TASKS, task_of
from eomt.train_scripts.predict import predict


@pytest.mark.parametrize("at", ["before", "while writing"])
def test_an_interrupted_run_goes_on_with_what_is_not_done(checkpoints, photos, tmp_path, monkeypatch, at):
    run(checkpoints, photos, "panoptic", tmp_path / "whole")
    add, added = PredictionFiles.add, []

    def stop(self, image, result, confidences):
        if len(added) == 2:
            if at == "while writing":
                monkeypatch.setattr("eomt.train_scripts.evaluation.prediction_files._write", lambda path, text: 1 / 0)
                add(self, image, result, confidences)  # the PNG is there, the record isn't
            raise KeyboardInterrupt
        added.append(image.image_id)
        add(self, image, result, confidences)

    with monkeypatch.context() as patch:
        monkeypatch = patch
        patch.setattr(PredictionFiles, "add", stop)
        with pytest.raises((KeyboardInterrupt, ZeroDivisionError)):
            run(checkpoints, photos, "panoptic", tmp_path / "out")
    assert not (tmp_path / "out" / "panoptic.json").exists()
    assert run(checkpoints, photos, "panoptic", tmp_path / "out") == {"predicted": 3, "done": 2, "broken": 0}
    for path in sorted((tmp_path / "whole").rglob("*.*")):
        if path.is_file():
            assert (tmp_path / "out" / path.relative_to(tmp_path / "whole")).read_bytes() == path.read_bytes()
    assert run(checkpoints, photos, "panoptic", tmp_path / "out") == {"predicted": 0, "done": 5, "broken": 0}


def test_pictures_below_the_images_are_not_segmented_again(checkpoints, photos, tmp_path):
    images = shutil.copytree(photos, tmp_path / "images")
    for counts in ({"predicted": 5, "done": 0, "broken": 0}, {"predicted": 0, "done": 5, "broken": 0}):
        assert predict(str(checkpoints / "panoptic"), str(images), "panoptic", images / "out", overlays=True, bf16=False) == counts


def test_other_folders_and_names_are_refused(checkpoints, photos, tmp_path):
    run(checkpoints, photos, "panoptic", tmp_path / "out")
    with pytest.raises(ValueError, match="another run, this one having threshold=0.7 instead of 0.05. Choose another folder"):
        predict(str(checkpoints / "panoptic"), str(photos), "panoptic", tmp_path / "out", threshold=0.7, bf16=False)
    with pytest.raises(ValueError, match="exists and holds something else"):
        run(checkpoints, photos, "panoptic", photos)
    form = PanopticFormat(tmp_path / "new", scenes.LABELS, range(14))
    with pytest.raises(ValueError, match="leads out of the output folder"):
        PredictionFiles(tmp_path / "new", task_of("panoptic"), scenes.LABELS, form, {}).is_done("../x")
    with pytest.raises(ValueError, match="images=.*no such file"):
        run(checkpoints, tmp_path / "gone.parquet", "panoptic", tmp_path / "new")


def test_a_run_is_known_by_what_its_paths_lead_to(tmp_path, monkeypatch):
    def files(**plan) -> PredictionFiles:
        form = PanopticFormat(tmp_path / "out", scenes.LABELS, range(14))
        return PredictionFiles(tmp_path / "out", task_of("panoptic"), scenes.LABELS, form, plan)

    for folder in ("a/photos", "a/model", "b/photos"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a")
    plan = {"checkpoint": "model", "images": "photos", "together": ["panoptic=model", "semantic=org/other"]}
    first = files(**plan)
    first.start()
    (tmp_path / "out" / "panoptic").mkdir()
    for images in ("photos/", str(tmp_path / "a" / "photos"), "../a/photos"):
        assert files(**{**plan, "images": images, "checkpoint": "model/", "together": ["panoptic=./model", "semantic=org/other"]})
    stored = json.loads((tmp_path / "out" / "run.json").read_text())
    assert stored["images"] == str(tmp_path / "a" / "photos") and stored["together"][1] == "semantic=org/other"
    with pytest.raises(ValueError, match=r"this one having together=None instead of \['panoptic=.*\. Choose another folder"):
        files(checkpoint="model", images="photos")  # the whole of what the other run had is compared
    monkeypatch.chdir(tmp_path / "b")
    with pytest.raises(ValueError, match="this one having images=.*b/photos instead of .*a/photos"):
        files(**{**plan, "checkpoint": "../a/model", "together": stored["together"]})


@pytest.mark.parametrize("task", TASKS)
def test_a_threshold_is_of_panoptic_segments(task):
    words = {"checkpoint": "x", "images": "photos", "task": task, "output": "out"}
    assert PredictOptions(**words, threshold=0.0, also=["panoptic=y"]).threshold == 0  # which the others are predicted with
    for wrong in (0.5, 80.0, -3.0) if task != "panoptic" else (80.0, -3.0, 1.0):
        reason = "is for task='panoptic'" if task != "panoptic" else "must lie in 0..1 and be less than 1"
        with pytest.raises(ValueError, match=f"threshold={wrong} {reason}"):
            PredictOptions(**words, threshold=wrong)


def test_predictions_of_earlier_weights_are_not_gone_on_with(checkpoints, photos, tmp_path):
    shutil.copytree(checkpoints / "panoptic", tmp_path / "model")
    words = str(tmp_path / "model"), str(photos), "panoptic", tmp_path / "out"
    predict(*words, threshold=0.05, bf16=False)
    assert predict(*words, threshold=0.05, bf16=False)["done"] == 5
    os.utime(tmp_path / "model" / "model.safetensors")  # trained on
    with pytest.raises(ValueError, match="another run, this one having version={.* instead of {"):
        predict(*words, threshold=0.05, bf16=False)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_two_processes_give_what_one_gives(checkpoints, photos, tmp_path, task):
    run(checkpoints, photos, task, tmp_path / "one", batch_size=2)
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    command += ["--mixed_precision", "no", "--dynamo_backend", "no", "-m", "eomt.train_scripts.predict"]
    command += f"--checkpoint {checkpoints / task} --images {photos} --task {task} --output {tmp_path / 'two'}".split()
    command += ["--batch_size", "2", "--bf16", "false", *(["--threshold", "0.05"] if task == "panoptic" else [])]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "5 predicted, 0 done, 0 broken" in done.stdout
    for path in sorted((tmp_path / "one").rglob("*.*")):
        if path.is_file():
            assert (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes() == path.read_bytes(), path
