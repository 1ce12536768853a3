"""Schedules against the official recipe's published step numbers."""

import pytest

from eomt.train_scripts.training.schedules import (
    ENCODER_WARMUP,
    HEAD_WARMUP,
    learning_rate_factor,
    mask_probability,
    polynomial_decay,
    share_of_training,
)

COCO_STEPS = 88692


@pytest.mark.parametrize(
    ("blocks", "starts", "ends"),
    [
        (3, [14782, 36955, 59128], [29564, 51737, 73910]),
        (4, [14782, 29564, 44346, 59128], [29564, 44346, 59128, 73910]),
        (5, [14782, 25869, 36955, 48042, 59128], [29564, 40651, 51737, 62824, 73910]),
    ],
)
def test_annealing_has_the_published_start_and_end_of_every_block(blocks, starts, ends):
    for block, (start, end) in enumerate(zip(starts, ends, strict=True)):
        assert mask_probability((start - 1) / COCO_STEPS, block, blocks) == 1
        assert 0 < mask_probability((start + 1) / COCO_STEPS, block, blocks) < 1
        assert 0 < mask_probability((end - 1) / COCO_STEPS, block, blocks) < 0.001
        assert mask_probability((end + 1) / COCO_STEPS, block, blocks) == 0


@pytest.mark.parametrize(
    ("steps", "blocks", "starts", "ends"),
    [
        (2 * COCO_STEPS, 3, [0, 73910, 118256], [3000, 103474, 147820]),
        (COCO_STEPS, 4, [0, 29564, 44346, 59128], [3000, 44346, 59128, 73910]),
    ],
)
def test_with_dinov3_the_first_block_anneals_at_once_and_the_others_as_ever(steps, blocks, starts, ends):
    """The formula: (1 - (step - start) / (end - start)) ** .9 between the published start and end, 1 before and 0 after."""
    for block, (start, end) in enumerate(zip(starts, ends, strict=True)):
        for step in range(0, steps, 997):
            expected = 1 if step < start else 0 if step >= end else (1 - (step - start) / (end - start)) ** 0.9
            probability = mask_probability(step / steps, block, blocks, 0.9, 3000 / steps)
            assert probability == pytest.approx(expected, abs=1e-3)  # the published steps are whole numbers


def test_lengths_are_shares_or_steps():
    assert (share_of_training(0.25, 400), share_of_training(100, 400), share_of_training(1, 400)) == (0.25, 0.25, 0.0025)


def test_annealing_follows_the_polynomial_between():
    assert mask_probability(0.25, 0, 4) == pytest.approx(0.5**0.9)


def test_a_single_block_anneals_first():
    assert mask_probability(0.1, 0, 1) == 1
    assert mask_probability(0.4, 0, 1) == 0


def test_two_stage_warm_up_as_measured_on_the_official_scheduler():
    """T = 10000, warm-up 500 then 1000: at step 1500 the encoder is at its peak and new parameters at .905 of theirs."""
    assert learning_rate_factor(0.15, 0.05, 0.10) == pytest.approx(1.0)
    assert learning_rate_factor(0.15, 0.0, 0.05) == pytest.approx(0.905, abs=1e-3)
    assert learning_rate_factor(0.04, 0.05, 0.10) == 0
    assert learning_rate_factor(0.10, 0.05, 0.10) == pytest.approx(0.5)


def test_default_warm_ups_are_the_published_steps():
    assert HEAD_WARMUP * COCO_STEPS == pytest.approx(500)
    assert ENCODER_WARMUP * COCO_STEPS == pytest.approx(1000)


def test_decay_stays_in_range_outside_training():
    assert polynomial_decay(-1) == 1
    assert polynomial_decay(2) == 0
