"""Divisors of the loss; that they make accumulated batches and processes equal is in `../test_accumulation.py`."""

import pytest
import torch

from eomt.criterion.normalizers import loss_normalizers


def test_normalizers_count_masks_and_class_weights():
    labels = [torch.zeros(3), torch.zeros(0), torch.zeros(12)]
    assert loss_normalizers(labels, 8, 0.1).tolist() == pytest.approx([15, 11 + 0.1 * 13])
