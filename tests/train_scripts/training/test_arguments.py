"""Options of a run, as given and as Trainer gets them."""

import pytest

from eomt.train_scripts.training.arguments import EomtTrainingArguments
from eomt.train_scripts.training.data_arguments import DataArguments


def test_trainer_gets_a_copy_that_rotates_nothing_and_may_be_changed(tmp_path):
    args = EomtTrainingArguments(str(tmp_path), save_total_limit=2, hub_token="hf_OnlyForThisTest", eval_strategy="steps")
    copied = args.for_trainer()
    assert copied.save_total_limit is None and args.save_total_limit == 2
    rest = {name: value for name, value in vars(args).items() if name != "save_total_limit"}
    assert {name: value for name, value in vars(copied).items() if name != "save_total_limit"} == rest
    assert copied.hub_token == "hf_OnlyForThisTest" and copied.device == args.device
    copied.eval_on_start = True
    assert args.eval_on_start is False


def test_what_chooses_the_best_model_is_a_score_of_the_task(tmp_path):
    def settled(**options):
        args = EomtTrainingArguments(str(tmp_path), **options)
        args.settle("pq", ["pq", "sq"], True)
        return args.metric_for_best_model, args.greater_is_better

    assert settled() == settled(greater_is_better=True) == ("eval_pq", True)
    assert settled(metric_for_best_model="eval_sq", greater_is_better=False) == ("eval_sq", False)
    for wrong in ("PQ", "loss"):
        with pytest.raises(ValueError, match=f"^metric_for_best_model='{wrong}' is unknown; choose one of pq, sq$"):
            settled(metric_for_best_model=wrong)
    with pytest.raises(
        ValueError, match="^greater_is_better=False has no effect on the main score, pq; give metric_for_best_model"
    ):
        settled(greater_is_better=False)


def test_copy_paste_where_it_can_not_be_is_refused_in_a_line():
    assert DataArguments("data").copy_paste == 0 and DataArguments("data", task="instance", copy_paste=0.5).copy_paste == 0.5
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match=f"copy_paste={wrong} must be a probability, from 0 to 1$"):
            DataArguments("data", copy_paste=wrong)
    with pytest.raises(ValueError, match="copy_paste=0.5 has no effect with augment=False; leave one .* or give --copy_paste 0"):
        DataArguments("data", copy_paste=0.5, augment=False)
    with pytest.raises(ValueError, match="copy_paste=0.5 pastes things, which task='semantic' doesn't tell apart; leave it out$"):
        DataArguments("data", task="semantic", copy_paste=0.5)


def test_a_threshold_is_a_class_score():
    assert DataArguments("data", task="semantic", threshold=0.0).threshold == 0  # a recipe has it for any task
    for wrong in (-3.0, 1.0, 80.0):
        with pytest.raises(ValueError, match=f"threshold={wrong} must lie in 0..1 and be less than 1"):
            DataArguments("data", threshold=wrong)
