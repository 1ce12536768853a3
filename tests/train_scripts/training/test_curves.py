"""The picture of a run's log."""

import math

import pytest
from PIL import Image

from eomt.train_scripts.training.curves import COLORS, PANEL, _ticks, curves_of, draw_curves

LOG = [
    {"step": 5, "loss": 9.0, "loss_mask": 0.5, "loss_mask_block_-1": 1.5, "loss_dice": 3.0, "loss_cross_entropy": 4.0},
    {"step": 10, "learning_rate": 0.0, "learning_rate_head": 1e-3, "mask_probability_10": 0.5, "mask_probability_2": 1.0},
    {"step": 10, "eval_pq": 12.0, "eval_runtime": 3.0},
]


def test_terms_sum_to_the_loss_and_blocks_are_in_order():
    panels = curves_of([{"step": 0, "eval_pq": 1.0}, *LOG])
    assert panels["loss"] == {"sum": [(5, 9.0)], "mask": [(5, 2.0)], "dice": [(5, 3.0)], "cross entropy": [(5, 4.0)]}
    assert list(panels["masking probability"]) == ["block 2", "block 10"]
    assert panels["scores on the evaluation split (%)"] == {"PQ": [(0, 1.0), (10, 12.0)]}


def test_the_picture_has_a_panel_for_each_kind_that_was_logged(tmp_path):
    assert draw_curves(LOG, tmp_path / "all.png") and draw_curves(LOG[:1], tmp_path / "loss.png")
    assert Image.open(tmp_path / "all.png").size == (2 * PANEL[0], 2 * PANEL[1])
    loss = Image.open(tmp_path / "loss.png").convert("RGB")
    assert loss.size == PANEL
    colors = {color for _, color in loss.getcolors(loss.width * loss.height)}
    for line in COLORS[:4]:  # the loss and its three terms
        wanted = tuple(int(line[place : place + 2], 16) for place in (1, 3, 5))
        assert any(math.dist(color, wanted) < 3 for color in colors)


def test_nothing_logged_is_nothing_drawn(tmp_path):
    assert not draw_curves(
        [{"step": 3, "train_runtime": 1.0, "loss": float("nan")}, {"step": 3, "eval_ap": -1.0}], tmp_path / "none.png"
    )
    assert not (tmp_path / "none.png").exists()


@pytest.mark.parametrize("high", [1e-7, 0.002, 1, 7.3, 100, 88692])
def test_ticks_cover_the_values(high):
    ticks = _ticks(0, high)
    assert ticks[0] == 0 and ticks[-1] >= high * (1 - 1e-9) and 3 <= len(ticks) <= 8
