"""Means of the loss terms between two logs."""

import pytest
import torch

from eomt.train_scripts.training.loss_terms import LossTermMeans


def test_terms_are_summed_over_the_batches_of_a_step_and_averaged_over_steps():
    means = LossTermMeans()
    for step in ((1.0, 2.0), (5.0,)):  # of two batches, and of one
        means.start_step()
        for term in step:
            means.add({"loss_mask": torch.tensor(term, requires_grad=True), "loss_dice": torch.tensor(2 * term)})
    assert means.take() == pytest.approx({"loss_mask": 4.0, "loss_dice": 8.0})


def test_they_begin_anew_after_each_log():
    means = LossTermMeans()
    for value in (1.0, 3.0):
        means.start_step()
        means.add({"loss_mask": torch.tensor(value)})
        assert means.take() == {"loss_mask": value}
    assert means.take() == {}
