"""Masking probabilities follow the progress of the training."""

import pytest

from eomt.train_scripts.training.mask_annealing import MaskAnnealingCallback
from eomt.train_scripts.training.progress import TrainingProgress
from eomt.train_scripts.training.schedules import mask_probability


@pytest.mark.parametrize(("mode", "middle", "end"), [("always", 1.0, 1.0), ("never", 0.0, 0.0), ("annealed", None, 0.0)])
def test_a_step_has_the_probabilities_of_its_progress_and_the_end_its_own(tiny_model, mode, middle, end):
    model, progress = tiny_model(probs=0.5), TrainingProgress()
    masking = MaskAnnealingCallback(progress, mode, power=2.0)
    progress.value = 0.25
    masking.on_step_begin(None, None, None, model=model)
    expected = [mask_probability(0.25, block, 2, 2.0) for block in range(2)] if middle is None else [middle] * 2
    assert model.attn_mask_probs.tolist() == pytest.approx(expected) and (middle is not None or 0 < expected[0] < expected[1])
    masking.on_train_end(None, None, None, model=model)
    assert model.attn_mask_probs.tolist() == [end] * 2


def test_the_first_block_may_anneal_at_once(tiny_model):
    model, progress = tiny_model(), TrainingProgress()
    masking = MaskAnnealingCallback(progress, first_block=0.1)
    seen = []
    for progress.value in (0.0, 0.05, 0.1, 0.5):
        masking.on_step_begin(None, None, None, model=model)
        seen.append(model.attn_mask_probs.tolist())
    assert seen[0] == [1, 1] and seen[1] == [pytest.approx(0.5**0.9), 1] and seen[2] == seen[3] == [0, 1]
    assert masking.probabilities(1.0, 2) == [0, 0]


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="masking='often' is unknown; choose one of annealed, always, never"):
        MaskAnnealingCallback(TrainingProgress(), "often")
