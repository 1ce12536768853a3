"""Overlaps of two maps against masks."""

import pytest
import torch

from eomt.train_scripts.metrics.overlaps import CHUNK, count_overlaps


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_counts_are_those_of_masks(dtype):
    generator = torch.Generator().manual_seed(0)
    true, predicted = (torch.randint(0, 9, (700, 601), generator=generator, dtype=dtype) for _ in range(2))
    assert true.numel() > CHUNK and true.numel() % CHUNK  # several parts, the last one shorter
    true_ids, predicted_ids = [3, 0, 8], [7, 1, 2, 100]  # 100 has no pixel, and what isn't listed is void
    counts = torch.from_numpy(count_overlaps(true, true_ids, predicted, predicted_ids))
    true_masks, predicted_masks = ([map_ == i for i in ids] for map_, ids in ((true, true_ids), (predicted, predicted_ids)))
    true_masks.insert(0, ~torch.stack(true_masks).any(0))
    predicted_masks.insert(0, ~torch.stack(predicted_masks).any(0))
    assert counts.tolist() == [[(one & two).sum().item() for two in predicted_masks] for one in true_masks]


def test_minus_one_is_void_and_a_transposed_map_is_read_as_it_looks():
    true = torch.tensor([[-1, 2], [2, 5], [5, 5]], dtype=torch.int32)
    counts = count_overlaps(true, [5, 2], torch.tensor([[4, 4, -1], [4, -1, 4]]).T, [4])
    assert counts.tolist() == [[0, 1], [2, 1], [0, 2]]


def test_maps_without_segments_or_pixels():
    assert count_overlaps(torch.zeros(2, 3, dtype=torch.int32), [], torch.zeros(2, 3, dtype=torch.int32), []).tolist() == [[6]]
    assert count_overlaps(torch.zeros(0, 3, dtype=torch.int32), [1], torch.zeros(0, 3, dtype=torch.int32), []).tolist() == [
        [0],
        [0],
    ]
