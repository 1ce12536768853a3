"""Divisors of the loss; that they make accumulated batches and processes equal is in `../test_accumulation.py`."""

import pytest
import torch

from eomt.criterion.normalizers import divisor, loss_normalizers


def test_normalizers_count_masks_and_class_weights():
    labels = [torch.zeros(3), torch.zeros(0), torch.zeros(12)]
    assert loss_normalizers(labels, 8, 0.1).tolist() == pytest.approx([15, 11 + 0.1 * 13])


def test_only_no_masks_at_all_are_divided_by_another_number():
    """A third: one mask in the joint batch of three processes."""
    assert [divisor(torch.tensor(count)).item() for count in (0.0, 1 / 3, 1.0, 15.0)] == pytest.approx([1, 1 / 3, 1, 15])
