"""Pixels at each level of confidence, whatever the number of pixels taken at a time."""

import pytest
import torch

from eomt.train_scripts.metrics import confidence_counts
from eomt.train_scripts.metrics.confidence_counts import count_levels


@pytest.mark.parametrize("chunk", [1, 5, 1 << 20])
def test_counts_are_those_of_numpys_histogram(monkeypatch, chunk):
    monkeypatch.setattr(confidence_counts, "CHUNK", chunk)
    generator = torch.Generator().manual_seed(0)
    levels = torch.randint(0, 65536, (3, 7), generator=generator)
    truth, counted = torch.rand(2, 3, 7, generator=generator) < torch.tensor([0.4, 0.8])[:, None, None]
    counts = count_levels((levels + 0.25) / 65536, truth, counted)
    assert torch.equal(counts, count_levels(levels, truth, counted)) and counts.sum() == counted.sum()
    for value in (False, True):
        expected = torch.bincount(levels[counted & (truth == value)], minlength=65536)
        assert torch.equal(counts[int(value)], expected) and expected.any()
