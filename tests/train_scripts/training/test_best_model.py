"""Of equal scores the later counts, as long as the training goes on."""

from types import SimpleNamespace

import pytest
from transformers import TrainerState

from eomt.train_scripts.training.best_model import LaterOfEqualScores

ARGS = SimpleNamespace(metric_for_best_model="eval_pq")


@pytest.mark.parametrize(("score", "best"), [(50.0, None), (49.0, 50.0), (51.0, 50.0)])
def test_an_equal_score_takes_the_earlier_one_away_and_no_other_does(score, best):
    callback, state = LaterOfEqualScores(), TrainerState(best_metric=50.0)
    callback.on_train_begin(ARGS, state, None)
    callback.on_evaluate(ARGS, state, None, metrics={"eval_pq": score, "eval_sq": 50.0})
    assert state.best_metric == best


def test_before_and_after_a_training_nothing_is_chosen():
    callback, state = LaterOfEqualScores(), TrainerState(best_metric=50.0)
    callback.on_evaluate(ARGS, state, None, metrics={"eval_pq": 50.0})
    callback.on_train_begin(ARGS, state, None)
    callback.on_train_end(ARGS, state, None)
    callback.on_evaluate(ARGS, state, None, metrics={"eval_pq": 50.0})
    assert state.best_metric == 50.0
