"""A batch for models in training."""

import pytest
import torch


@pytest.fixture
def batch(segments) -> dict:
    """Four images of 3, 0, 1 and 12 segments, with sample keys."""
    id_maps, segment_ids, class_labels, _ = segments([3, 0, 1, 12])
    pixel_values = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    keys = torch.tensor([4, 8, 15, 16])
    return dict(pixel_values=pixel_values, id_maps=id_maps, segment_ids=segment_ids, class_labels=class_labels, sample_keys=keys)
