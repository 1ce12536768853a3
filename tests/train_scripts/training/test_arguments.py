"""Options of a run, as given and as Trainer gets them."""

from eomt.train_scripts.training.arguments import EomtTrainingArguments


def test_trainer_gets_a_copy_that_rotates_nothing_and_may_be_changed(tmp_path):
    args = EomtTrainingArguments(str(tmp_path), save_total_limit=2, hub_token="hf_OnlyForThisTest", eval_strategy="steps")
    copied = args.for_trainer()
    assert copied.save_total_limit is None and args.save_total_limit == 2
    rest = {name: value for name, value in vars(args).items() if name != "save_total_limit"}
    assert {name: value for name, value in vars(copied).items() if name != "save_total_limit"} == rest
    assert copied.hub_token == "hf_OnlyForThisTest" and copied.device == args.device
    copied.eval_on_start = True
    assert args.eval_on_start is False
