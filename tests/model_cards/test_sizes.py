"""Counting: norms, resizing and sampling as the paper's tool counts them, and each row of Table 1 with ViT-S and ViT-L."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from eomt.configuration import architecture_config, ladder_architecture
from eomt.model_cards.sizes import FORMULAS, count_multiply_adds, count_parameters, on_meta

ROWS = {"small": (164.55, 143.16, 88.79, 84.93), "large": (830.26, 739.73, 685.36, 673.11)}  # GFLOPs at 640 pixels


def multiply_adds(function, *inputs: torch.Tensor) -> int:
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=FORMULAS) as counter:
        function(*inputs)
    return counter.get_total_flops() // 2


def test_operations_that_pytorch_does_not_count():
    feature = torch.empty(2, 32, 4, 6, device="meta")
    assert multiply_adds(nn.LayerNorm(6, device="meta"), feature) == 5 * feature.numel()
    assert multiply_adds(nn.GroupNorm(4, 32, device="meta"), feature) == 5 * feature.numel()
    assert multiply_adds(nn.BatchNorm2d(32, device="meta").eval(), feature) == 2 * feature.numel()
    assert multiply_adds(lambda maps: F.interpolate(maps, size=(3, 3), mode="bilinear"), feature) == 4 * 2 * 32 * 9
    grid = torch.empty(2, 7, 5, 2, device="meta")
    assert multiply_adds(lambda maps: F.grid_sample(maps, grid, align_corners=False), feature) == 4 * 2 * 32 * 35


@pytest.mark.parametrize("row", range(4))
@pytest.mark.parametrize("name", ROWS)
def test_rows_of_table_1(name, row):
    model = on_meta(ladder_architecture(name, row, num_labels=133), masked=True)
    assert count_multiply_adds(model, (640, 640))[""] / 1e9 == pytest.approx(ROWS[name][row], abs=0.006)


def test_masks_at_inference_and_parts():
    plain, masked = (on_meta(architecture_config("small", num_labels=133), masked) for masked in (False, True))
    assert count_parameters(plain) == 23_975_942
    assert count_multiply_adds(masked, (640, 640))[""] / 1e9 == pytest.approx(88.84, abs=0.005)
    counts = count_multiply_adds(plain, (640, 640))
    assert counts[""] / 1e9 == pytest.approx(67.96, abs=0.005)
    assert counts["embeddings.patch_embeddings.projection"] == 1600 * 384 * 768
