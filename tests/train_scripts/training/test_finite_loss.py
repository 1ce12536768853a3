"""A loss that is not finite: the run ends, the images are named, and no model is written."""

import json

import pytest
import torch

from eomt.train_scripts.data.training_collator import TrainingCollator
from eomt.train_scripts.training.finite_loss import FILE, FiniteLoss


def images(*names):
    return [{"image_id": name, "sample_key": index, "epoch": 2} for index, name in enumerate(names)]


def step(finite, number, *losses, norm=1.0):
    """A step of as many batches as there are losses, of one image each."""
    finite.start_step(number, [images(f"step {number} batch {index}") for index in range(len(losses))])
    for loss in losses:
        finite.add_terms({"loss_mask": torch.tensor(1.0), "loss_dice": torch.tensor(loss)})
    finite.add_gradient_norm(torch.tensor(norm))


NAN, INF = float("nan"), float("inf")


def test_the_first_bad_batch_is_named_and_not_what_it_broke(tmp_path):
    finite = FiniteLoss(tmp_path, process=0)
    step(finite, 7, 0.5, 0.5)
    step(finite, 8, 0.5, INF, norm=NAN)
    step(finite, 9, NAN, NAN, norm=NAN)
    message = r"step 8: .*loss_mask=2, loss_dice=inf, gradient_norm=nan; images step 8 batch 1\. "
    with pytest.raises(FloatingPointError, match=message):
        finite.check()
    saved = json.loads((tmp_path / FILE).read_text())
    assert saved["step"] == 8 and saved["numbers"]["0"]["loss_dice"] == "inf"
    expected = [("step 8 batch 0", True), ("step 8 batch 1", False)]
    assert [(image["image_id"], image["loss_finite"]) for image in saved["images"]] == expected
    assert saved["images"][1] == {**images("step 8 batch 1")[0], "process": 0, "loss_finite": False}


def test_gradients_that_broke_under_a_finite_loss_are_laid_to_their_own_step(tmp_path):
    finite = FiniteLoss(tmp_path, process=0)
    step(finite, 1, 0.5, norm=INF)
    step(finite, 2, NAN)
    with pytest.raises(FloatingPointError, match=r"step 1: .*gradient_norm=inf; images step 1 batch 0\."):
        finite.check()


def test_norms_under_a_loss_scaler_are_its_business(tmp_path):
    finite = FiniteLoss(tmp_path, process=0, check_norms=False)
    step(finite, 1, 0.5, norm=INF)
    finite.check()


def test_a_good_check_forgets_and_a_long_wait_for_one_is_cut_short(tmp_path):
    finite = FiniteLoss(tmp_path, process=0)
    for number in range(1, 500):
        step(finite, number, 0.5)
        assert len(finite._batches) <= 200
    finite.check()
    assert finite._batches == [] and not (tmp_path / FILE).exists()


def test_a_run_removes_the_report_of_an_earlier_one(tmp_path):
    (tmp_path / FILE).touch()
    FiniteLoss(tmp_path, process=1).on_train_begin(None, None, None)
    assert (tmp_path / FILE).exists()  # the first process removes it
    FiniteLoss(tmp_path, process=0).on_train_begin(None, None, None)
    assert not (tmp_path / FILE).exists()


@pytest.fixture
def spoilt_image(monkeypatch):
    """Makes the pixels of an image NaN in the second epoch."""
    collate = TrainingCollator.__call__

    def spoil(self, samples):
        batch = collate(self, samples)
        for index, sample in enumerate(samples):
            if sample["image_id"] == "train-00003" and sample["epoch"] == 1:
                batch["pixel_values"][index] = NAN
        return batch

    monkeypatch.setattr(TrainingCollator, "__call__", spoil)


def test_a_run_stops_and_keeps_its_last_good_checkpoint(spoilt_image, tiny_run, tmp_path):
    words = [
        "--max_steps",
        "12",
        "--save_strategy",
        "steps",
        "--save_steps",
        "1",
        "--logging_steps",
        "5",
        "--save_total_limit",
        "0",
    ]
    with pytest.raises(FloatingPointError, match=r"step [34]: .*images (train-\d+, )?train-00003[.,]") as error:
        tiny_run("--total_batch_size", "4", "--per_device_train_batch_size", "2", *words)
    saved = json.loads((tmp_path / FILE).read_text())
    assert f"step {saved['step']}:" in str(error.value) and len(saved["images"]) == 4
    assert all(image["epoch"] == 1 and image["process"] == 0 and image["sample_key"] > 0 for image in saved["images"])
    bad = [image["image_id"] for image in saved["images"] if not image["loss_finite"]]
    assert "train-00003" in bad and len(bad) == 2
    steps = sorted(int(folder.name.split("-")[1]) for folder in tmp_path.glob("checkpoint-*"))
    assert steps == list(range(1, saved["step"])) and not (tmp_path / "model.safetensors").exists()
