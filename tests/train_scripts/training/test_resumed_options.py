"""Options that came with a checkpoint give way to those of the run that goes on from it."""

import shutil

import pytest
import torch
from transformers import TrainerState

from eomt.train_scripts.training.arguments import EomtTrainingArguments
from eomt.train_scripts.training.resumed_options import ResumedOptions, check_trained

RUN = ["--max_steps", "4", "--save_strategy", "steps", "--save_steps", "2", "--eval_split", "", "--save_total_limit", "0"]


def made(rate: float, decay: float = 0.1, steps: int = 0):
    """Optimizer and schedule, which halves the rate at each step, and what has noted the optimizer."""
    options = ResumedOptions()
    parameters = [torch.nn.Parameter(torch.ones(2)) for _ in range(2)]
    groups = [
        {"params": [parameters[0]], "lr": rate, "encoder": True},
        {"params": [parameters[1]], "lr": 2 * rate, "encoder": False},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=decay)
    options.note(optimizer)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)
    for _ in range(steps):
        optimizer.step()
        schedule.step()
    return optimizer, schedule, options


def resumed(rate: float, decay: float):
    """As a run of this rate and decay goes on after two steps of one with .3 and .1."""
    stored_optimizer, stored_schedule, _ = made(0.3, steps=2)
    optimizer, schedule, options = made(rate, decay)
    optimizer.load_state_dict(stored_optimizer.state_dict())
    schedule.load_state_dict(stored_schedule.state_dict())
    options.on_train_begin(EomtTrainingArguments(), TrainerState(max_steps=4), None, optimizer=optimizer, lr_scheduler=schedule)
    return optimizer, schedule


def test_rates_and_decay_are_this_runs_at_the_point_of_the_schedule():
    optimizer, schedule = resumed(0.03, 0.5)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.03 / 4, 0.06 / 4])
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.5, 0.5]
    optimizer.step()
    schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.03 / 8, 0.06 / 8])


def test_the_same_options_change_no_bit():
    optimizer, schedule = resumed(0.3, 0.1)
    expected, expected_schedule, _ = made(0.3, steps=2)
    for group, wanted in zip(optimizer.param_groups, expected.param_groups, strict=True):
        assert {**group, "params": 0} == {**wanted, "params": 0}
    assert schedule.base_lrs == expected_schedule.base_lrs


def test_steps_between_evaluations_are_this_runs_and_the_best_checkpoint_is_where_the_run_is(tmp_path):
    (tmp_path / "checkpoint-3").mkdir()
    args = EomtTrainingArguments(output_dir=str(tmp_path), eval_strategy="steps", eval_steps=0.25, save_steps=7)
    state = TrainerState(max_steps=80, eval_steps=500, save_steps=500, best_global_step=3)
    ResumedOptions().on_train_begin(args, state, None)
    assert (state.eval_steps, state.save_steps) == (20, 7) and state.best_model_checkpoint == str(tmp_path / "checkpoint-3")
    elsewhere = TrainerState(max_steps=80, best_global_step=4, best_model_checkpoint="elsewhere/checkpoint-4")
    ResumedOptions().on_train_begin(args, elsewhere, None)
    assert elsewhere.best_model_checkpoint == "elsewhere/checkpoint-4"


def test_a_run_from_a_named_checkpoint_learns_at_its_own_rate(tiny_run, tmp_path):
    tiny_run(*RUN, "--output_dir", str(tmp_path / "first"), "--learning_rate", "1e-3")
    named = ["--resume_from_checkpoint", str(tmp_path / "first/checkpoint-2"), "--learning_rate", "1e-5"]
    trainer = tiny_run(*RUN, *named, "--output_dir", str(tmp_path / "second"), "--logging_steps", "1")
    whole = tiny_run(*RUN, "--output_dir", str(tmp_path / "whole"), "--learning_rate", "1e-5", "--logging_steps", "1")
    rates = [
        [entry["learning_rate"] for entry in one.state.log_history if "learning_rate" in entry][-2:] for one in (trainer, whole)
    ]
    assert rates[0] == pytest.approx(rates[1]) and trainer.lr_scheduler.base_lrs == whole.lr_scheduler.base_lrs


def test_an_optimizer_of_other_groups_is_refused(tmp_path):
    optimizer = made(0.3)[0]
    check_trained(tmp_path, optimizer.param_groups, {}, {})  # one of FSDP or DeepSpeed has another file
    torch.save(optimizer.state_dict(), tmp_path / "optimizer.pt")
    check_trained(tmp_path, optimizer.param_groups, {}, {})
    joined = [{"params": [parameter for group in optimizer.param_groups for parameter in group["params"]]}]
    with pytest.raises(
        ValueError, match="trains 2 parameters in 1 groups instead of 2 in 2, as an earlier version or another model did"
    ):
        check_trained(tmp_path, joined, {}, {})


def test_a_run_from_a_named_checkpoint_has_its_own_decay_but_the_same_trained_blocks(tiny_run, tmp_path):
    tiny_run(*RUN, "--output_dir", str(tmp_path / "first"), "--learning_rate", "1e-3", "--max_steps", "2")
    folder = tmp_path / "first/checkpoint-2"
    named = ["--resume_from_checkpoint", str(folder), "--learning_rate", "1e-3"]
    frozen = (
        r"checkpoint-2'.*this run trains \d+ parameters in \d groups instead of .*, having frozen_blocks=1 instead of 0\. Resume"
    )
    with pytest.raises(ValueError, match=frozen):
        tiny_run(*RUN, *named, "--output_dir", str(tmp_path / "frozen"), "--frozen_blocks", "1")
    for decay in ("0.5", "1.25"):
        trainer = tiny_run(*RUN, *named, "--output_dir", str(tmp_path / decay), "--layer_decay", decay)
        rates = [group["initial_lr"] for group in trainer.optimizer.param_groups if group["encoder"]]
        assert rates == pytest.approx([1e-3 * float(decay) ** above for above in range(len(rates))])


def test_a_moved_run_ends_with_its_best_model(tiny_run, tmp_path):
    words = ["--recipe", "panoptic", "--save_strategy", "best", "--max_steps", "4", "--eval_steps", "2", "--save_total_limit", "0"]
    words += ["--save_minutes", "1e-9", "--overlays", "0"]
    tiny_run(*words, "--output_dir", str(tmp_path / "first"))
    shutil.rmtree(tmp_path / "first/checkpoint-4", ignore_errors=True)
    (tmp_path / "first/finished.json").unlink()
    (tmp_path / "first").rename(tmp_path / "moved")
    trainer = tiny_run(*words, "--output_dir", str(tmp_path / "moved"))
    best = trainer.state.best_model_checkpoint
    assert best is not None and best.startswith(str(tmp_path / "moved")) and trainer.state.global_step == 4
