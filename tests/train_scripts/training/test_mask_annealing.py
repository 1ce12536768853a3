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


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="masking='often' is unknown; choose one of annealed, always, never"):
        MaskAnnealingCallback(TrainingProgress(), "often")
