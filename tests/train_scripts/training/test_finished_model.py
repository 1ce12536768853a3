"""The model as it would be if the training ended now: what is scored and stored in the middle of one."""

import pytest
import torch
from transformers import AutoModel

from eomt.train_scripts.training.finished_model import FinishedModel
from eomt.train_scripts.training.finite_loss import FiniteLoss
from eomt.train_scripts.training.mask_annealing import MaskAnnealingCallback
from eomt.train_scripts.training.progress import TrainingProgress
from eomt.train_scripts.training.weight_average import WeightAverage


@pytest.fixture
def training(tiny_model, tmp_path):
    """`training(masking)`: a model after one step, masked as in the middle of a training, and its finished model."""

    def begin(masking="annealed"):
        model = tiny_model(probs=[0.25, 1.0])
        average = WeightAverage(0.5)
        average.on_train_begin(None, None, None, model=model)
        with torch.no_grad():
            model.class_predictor.bias.add_(1.0)
        average.on_step_end(None, None, None)  # keeps a tenth of the beginning
        finite = FiniteLoss(tmp_path, process=0)
        return model, FinishedModel(MaskAnnealingCallback(TrainingProgress(), masking), finite, average)

    return begin


@pytest.mark.parametrize(("masking", "end"), [("annealed", 0.0), ("always", 1.0), ("never", 0.0)])
def test_within_it_has_the_averages_and_the_masking_of_the_end(training, masking, end):
    model, finished = training(masking)
    trained = model.class_predictor.bias.detach().clone()
    with finished.applied_to(model):
        torch.testing.assert_close(model.class_predictor.bias.detach(), trained - 0.1)
        assert model.attn_mask_probs.tolist() == [end, end]
    assert torch.equal(model.class_predictor.bias, trained) and model.attn_mask_probs.tolist() == [0.25, 1.0]


def test_without_averages_the_weights_are_those_trained(training):
    model, finished = training()
    finished.average = None
    trained = model.class_predictor.bias.detach().clone()
    with finished.applied_to(model):
        assert torch.equal(model.class_predictor.bias, trained) and not model.attn_mask_probs.any()


def test_a_save_within_a_save_stores_the_averages_too(training, tmp_path):
    """As a save that pushes does, which saves again within."""
    model, finished = training()
    trained = model.class_predictor.bias.detach().clone()
    with finished.applied_to(model):
        with finished.applied_to(model):
            model.save_pretrained(tmp_path / "within")
        model.save_pretrained(tmp_path / "after")
    for name in ("within", "after"):
        stored = AutoModel.from_pretrained(tmp_path / name)
        torch.testing.assert_close(stored.class_predictor.bias.detach(), trained - 0.1)
        assert not stored.attn_mask_probs.any()
    assert torch.equal(model.class_predictor.bias, trained)


def test_it_goes_back_after_an_error(training):
    model, finished = training()
    trained = model.class_predictor.bias.detach().clone()
    with pytest.raises(KeyError), finished.applied_to(model):
        raise KeyError
    assert torch.equal(model.class_predictor.bias, trained) and model.attn_mask_probs.tolist() == [0.25, 1.0]
    with finished.applied_to(model):
        assert not torch.equal(model.class_predictor.bias, trained)


def test_a_broken_loss_is_seen_before_the_model_changes(training):
    model, finished = training()
    finished.finite.start_step(1, [[{"image_id": "a", "sample_key": 1, "epoch": 0}]])
    finished.finite.add_terms({"loss_mask": torch.tensor(float("nan"))})
    with pytest.raises(FloatingPointError, match="step 1"), finished.applied_to(model):
        raise AssertionError("not reached")
    assert model.attn_mask_probs.tolist() == [0.25, 1.0]
