"""Pictures of the same validation images after every evaluation."""

import io
import sys
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import TrainerState

from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.samples import Sample
from eomt.train_scripts.evaluation.checkpoints import FINISHED
from eomt.train_scripts.evaluation.tasks import task_of
from eomt.train_scripts.training import overlays, progress
from eomt.train_scripts.training.overlays import FILE, OverlayCallback
from eomt.train_scripts.training.progress import TrainingProgress
from eomt.train_scripts.training.run_record import RunRecord


def pair(name):
    id_map = torch.ones(8, 8, dtype=torch.int32)
    one, image = torch.tensor([1]), torch.full((3, 8, 8), ord(name), dtype=torch.uint8)
    sample = Sample(name, image, id_map, one, torch.tensor([0]), torch.tensor([False]))
    return sample, {"segmentation": id_map, "segments_info": [{"id": 1, "label_id": 0}]}


@pytest.fixture
def evaluate(tmp_path):
    """`evaluate(callback, first=True)`: four predictions pass by, then the evaluation ends."""

    def run(callback, first=True, report_to=()):
        pairs = [pair(name) for name in "abcd"]
        assert list(callback.passing(iter(pairs), task_of("panoptic"), total=4)) == pairs
        args = SimpleNamespace(output_dir=str(tmp_path), report_to=list(report_to))
        callback.on_evaluate(args, TrainerState(is_world_process_zero=first, global_step=7), None)

    return run


def callback(images=2, clock=None):
    return OverlayCallback(Labels(["cat"], [True]), images, clock or TrainingProgress())


def test_only_so_many_are_kept_and_drawn_evenly_spread_and_the_same_each_time(evaluate, monkeypatch):
    drawn = []

    def draw(rows, path, *labels):
        drawn.append([chr(row.image[0, 0, 0]) for row in rows])
        Image.new("RGB", (2, 2)).save(path)

    monkeypatch.setattr(overlays, "picture_grid", draw)
    own = callback()
    evaluate(own)
    evaluate(own)
    assert drawn == [["a", "c"], ["a", "c"]]


def test_whole_images_and_results_are_not_kept_until_they_are_drawn():
    own, passed = callback(), []
    for sample, result in own.passing((pair(name) for name in "abcd"), task_of("panoptic"), total=4):
        passed += [weakref.ref(sample.image), weakref.ref(result["segmentation"])]
    del sample, result
    assert len(own._rows) == 2 and not any(whole() is not None for whole in passed)


def test_a_finished_run_that_is_scored_anew_without_pictures_leaves_none(tiny_run, tmp_path):
    tiny_run("--overlays", "1")
    assert (tmp_path / FILE).exists()
    RunRecord.read(tmp_path / FINISHED).write(tmp_path / FINISHED, 1.0, 0)  # as if killed before it was complete
    tiny_run("--overlays", "0")
    assert not (tmp_path / FILE).exists() and FILE not in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize(("images", "first"), [(0, True), (2, False)])
def test_other_processes_and_zero_images_draw_nothing(evaluate, tmp_path, images, first):
    evaluate(callback(images), first)
    assert not list(tmp_path.iterdir())


def test_the_clock_stands_still(evaluate, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def draw(rows, path, *labels):
        now[0] += 5
        Image.new("RGB", (2, 2)).save(path)

    monkeypatch.setattr(overlays, "picture_grid", draw)
    clock = TrainingProgress(1.0)
    evaluate(callback(clock=clock))
    assert clock._paused == 5


def test_wandb_gets_the_picture_where_it_is_reported_to(evaluate, monkeypatch, tmp_path):
    logged = []
    module = SimpleNamespace(log=logged.append, Image=lambda picture: np.asarray(picture))
    monkeypatch.setitem(sys.modules, "wandb", module)
    evaluate(callback())
    assert not logged
    evaluate(callback(), report_to=["wandb"])
    assert logged[0]["train/global_step"] == 7
    assert np.array_equal(logged[0]["overlays"], np.asarray(Image.open(tmp_path / FILE).convert("RGB")))


def test_tensorboard_gets_one_a_evaluation_of_the_same_images(tiny_run, tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    words = ["--max_steps", "2", "--report_to", "tensorboard", "--eval_on_start", "true", "--overlays", "1"]
    tiny_run(*words, "--learning_rate", "1e-2", "--threshold", "0")
    stored = []
    for folder in (tmp_path / "runs").iterdir():
        events = accumulator.EventAccumulator(str(folder), {"images": 0}).Reload()
        stored += [(image.step, image.encoded_image_string) for image in events.Images("overlays")]
    assert [step for step, _ in stored] == [0, 2]
    pictures = [np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB")) for _, encoded in stored]
    before, after = (picture[40:370] for picture in pictures)  # without titles, and legends, which may differ
    assert np.array_equal(before[:, :696], after[:, :696])  # image and truth
    assert not np.array_equal(before[:, 696:], after[:, 696:])  # prediction
    assert np.array_equal(np.asarray(Image.open(tmp_path / FILE).convert("RGB")), pictures[-1])
