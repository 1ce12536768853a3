"""Rows resized one by one are those of the whole resized."""

import pytest
import torch
import torch.nn.functional as F

from eomt.image_processing.upsampling import resize_rows, rows_under


@pytest.mark.parametrize(("old", "new"), [((16, 16), (64, 64)), ((40, 53), (30, 71)), ((1, 1), (5, 3)), ((7, 5), (7, 5))])
def test_rows_are_those_of_the_whole_resized(old, new):
    planes = torch.randn(3, *old, generator=torch.Generator().manual_seed(0))
    whole = F.interpolate(planes[None], size=new, mode="bilinear")[0]
    for start, end in ((0, new[0]), (0, 1), (new[0] - 1, new[0]), (new[0] // 3, new[0] // 2 + 1)):
        first, last = rows_under(start, end, old[0], new[0])
        rows = resize_rows(planes[:, first:last], new, start, end, old[0], first)
        assert torch.allclose(rows, whole[:, start:end], atol=1e-6)
