"""Rows resized one by one are those of the whole resized."""

import pytest
import torch
import torch.nn.functional as F

from eomt.image_processing.sizes import Layout
from eomt.image_processing.upsampling import logit_rows, resize_rows, rows_over, rows_under, upsampled_rows


@pytest.mark.parametrize(
    ("old", "new"), [((16, 16), (64, 64)), ((40, 53), (30, 71)), ((1, 1), (5, 3)), ((7, 5), (7, 5)), ((50, 70), (333, 401))]
)
def test_rows_are_those_of_the_whole_resized(old, new):
    planes = torch.randn(3, *old, generator=torch.Generator().manual_seed(0))
    whole = F.interpolate(planes[None], size=new, mode="bilinear")[0]
    for start, end in ((0, new[0]), (0, 1), (new[0] - 1, new[0]), (new[0] // 3, new[0] // 2 + 1)):
        first, last = rows_under(start, end, old[0], new[0])
        rows = resize_rows(planes[:, first:last], new, start, end, old[0], first)
        assert torch.allclose(rows, whole[:, start:end], atol=1e-5)


@pytest.mark.parametrize(("old", "new"), [(2, 122), (3, 37), (3, 183), (80, 99), (128, 640), (101, 303)])
def test_a_row_may_lie_on_one_row_of_the_map_before(old, new):
    """Its centre is a whole number, which float32 rounds down to the row before."""
    planes = torch.randn(2, old, 5, generator=torch.Generator().manual_seed(0))
    whole = F.interpolate(planes[None], size=(new, 5), mode="bilinear")[0]
    for row in range(new):
        first, last = rows_under(row, row + 1, old, new)
        rows = resize_rows(planes[:, first:last], (new, 5), row, row + 1, old, first)
        torch.testing.assert_close(rows, whole[:, row : row + 1], atol=1e-4, rtol=0)


@pytest.mark.parametrize("target", [(90, 160), (540, 960), (27, 48), (1, 100)])
@pytest.mark.parametrize("content", [(90, 160), (160, 100), (160, 160)])
def test_two_steps_leave_out_the_padding(content, target):
    logits = torch.randn(3, 40, 40, generator=torch.Generator().manual_seed(0)) * 5
    layout = Layout(content, (160, 160))
    whole = F.interpolate(logits[None], size=(160, 160), mode="bilinear")[:, :, : content[0], : content[1]]
    whole = F.interpolate(whole, size=target, mode="bilinear")[0]
    for start in range(0, target[0], 16):
        end = min(start + 16, target[0])
        assert torch.allclose(
            upsampled_rows(logits, layout, target, start, end), whole[:, start:end], atol=1e-4
        )  # slopes of 10 a pixel


@pytest.mark.parametrize(("old", "new"), [(16, 64), (40, 30), (7, 7), (1, 5), (33, 100), (100, 33)])
def test_rows_over_are_all_that_depend_on_some_rows(old, new):
    depends = F.interpolate(torch.eye(old)[None], size=new, mode="linear")[0] > 0  # (old, new)
    for start in range(old):
        for end in range(start + 1, old + 1):
            first, last = rows_over(start, end, old, new)
            rows = depends[start:end].any(0).nonzero().flatten().tolist()
            assert all(first <= row < last for row in rows) and last - first <= (end - start + 1) * new / old + 2


def test_rows_of_logits_of_a_strip():
    layout = Layout((90, 160), (160, 160))  # content rows 0 to 8 are under rows 0 to 16, logits 0 to 2 under those
    (first, last), content = logit_rows(40, layout, (180, 320), 0, 16)
    assert (first, content) == (0, (0, 9)) and last in (3, 4)
