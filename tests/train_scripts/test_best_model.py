"""The model that scored best is the one stored, by the task's main score."""

import json
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModel

from eomt.train_scripts.evaluation.tasks import task_of
from eomt.train_scripts.training import progress
from eomt.train_scripts.training.trainer import EomtTrainer
from eomt.train_scripts.training.validation import Validation

TRAINING = ["--max_steps", "4", "--learning_rate", "1e-2", "--max_grad_norm", "1", "--load_best_model_at_end", "true"]
EVERY_STEP = ["--eval_strategy", "steps", "--eval_steps", "1", "--save_strategy", "steps", "--save_steps", "1"]


@pytest.fixture
def scores(monkeypatch):
    """Evaluations give these scores one after the other; the list returned gets the weights that were scored."""
    scored = []

    def score(self, model, *_, **__):
        assert not model.attn_mask_probs.any()  # the unmasked score
        scored.append({name: parameter.detach().clone() for name, parameter in model.named_parameters()})
        return {self.task.main_score: [10.0, 50.0, 30.0, 20.0, 50.0][len(scored) - 1], "pixel_accuracy": float(len(scored))}

    monkeypatch.setattr(Validation, "score", score)
    return scored


@pytest.mark.parametrize("task", ["semantic", "instance", "panoptic"])
@pytest.mark.parametrize("averaging", [[], ["--ema_decay", "0.9"]], ids=["weights", "averages"])
def test_the_best_and_not_the_last_is_stored(tiny_run, tmp_path, scores, task, averaging):
    trainer = tiny_run(*TRAINING, *EVERY_STEP, "--task", task, *averaging)
    assert trainer.state.best_metric == 50.0 and trainer.state.best_global_step == 2
    saved = AutoModel.from_pretrained(tmp_path)
    assert not saved.attn_mask_probs.any()
    for stored in (saved, trainer.model, AutoModel.from_pretrained(tmp_path / "checkpoint-2")):
        torch.testing.assert_close({name: p.detach() for name, p in stored.named_parameters()}, scores[1], atol=0, rtol=0)
    assert not torch.equal(scores[1]["query.weight"], scores[3]["query.weight"])
    final = json.loads((tmp_path / "eval_results.json").read_text())  # of the model stored, as scored again
    assert final[f"eval_{task_of(task).main_score}"] == 50.0 and torch.equal(scores[4]["query.weight"], scores[1]["query.weight"])


def test_only_the_best_and_the_last_checkpoint_are_kept(tiny_run, tmp_path, scores):
    tiny_run(*TRAINING, *EVERY_STEP, "--save_total_limit", "2")
    assert sorted(folder.name for folder in tmp_path.glob("checkpoint-*")) == ["checkpoint-2", "checkpoint-4"]


def test_another_score_may_choose(tiny_run, scores):
    words = ["--task", "semantic", "--metric_for_best_model", "pixel_accuracy", "--greater_is_better", "false"]
    trainer = tiny_run(*TRAINING, *EVERY_STEP, *words)
    assert trainer.state.best_global_step == 1


def test_a_score_that_the_task_does_not_have_is_refused_before_training(tiny_run, monkeypatch):
    monkeypatch.setattr(EomtTrainer, "train", None)  # a call would raise
    with pytest.raises(ValueError, match="metric_for_best_model='miou' is unknown; choose one of pq, sq, rq"):
        tiny_run(*TRAINING, *EVERY_STEP, "--metric_for_best_model", "miou")


def test_of_equal_scores_the_later_counts(tiny_run, monkeypatch):
    monkeypatch.setattr(Validation, "score", lambda *_, **__: {"pq": 0.0})
    assert tiny_run(*TRAINING, *EVERY_STEP).state.best_global_step == 4


def test_once_an_epoch(tiny_run, tmp_path, scores):
    """8 images in batches of 4: two steps an epoch."""
    words = ["--eval_strategy", "epoch", "--save_strategy", "epoch", "--save_total_limit", "0"]
    trainer = tiny_run(*TRAINING, *words)
    assert [entry["step"] for entry in trainer.state.log_history if "eval_pq" in entry] == [2, 4, 4]
    assert sorted(folder.name for folder in tmp_path.glob("checkpoint-*")) == ["checkpoint-2", "checkpoint-4"]


def test_shares_of_a_budget_of_minutes(tiny_run, tmp_path, monkeypatch):
    """12 steps of half a second; evaluations don't count."""
    now, steps, step = [100.0], [], EomtTrainer.training_step
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def timed_step(self, *args, **kwargs):
        now[0] += 0.5
        steps.append(now[0])
        return step(self, *args, **kwargs)

    def timed_score(*_, **__):
        now[0] += 100
        return {"pq": len(steps) / 12}

    monkeypatch.setattr(EomtTrainer, "training_step", timed_step)
    monkeypatch.setattr(Validation, "score", timed_score)
    words = [
        "--minutes",
        "0.1",
        "--eval_strategy",
        "steps",
        "--eval_steps",
        "0.3",
        "--save_strategy",
        "steps",
        "--save_steps",
        "0.3",
    ]
    trainer = tiny_run(*TRAINING, *words, "--save_total_limit", "5")
    values = {entry["step"]: entry["eval_pq"] for entry in trainer.state.log_history if "eval_pq" in entry}
    assert values == pytest.approx({4: 4 / 12, 8: 8 / 12, 11: 11 / 12, 12: 1})  # the first after 0.3, 0.6 and 0.9, and the last
    assert trainer.state.best_global_step == trainer.state.global_step == 12
    assert {folder.name for folder in tmp_path.glob("checkpoint-*")} == {f"checkpoint-{number}" for number in values}


def test_epochs_need_a_number_of_rows(tiny_run, monkeypatch):
    monkeypatch.setattr("eomt.train_scripts.training.arguments.EomtTrainingArguments.epochs_to_steps", lambda self, rows: None)
    with pytest.raises(ValueError, match=r"eval_strategy='epoch'.*epochs_to_steps"):
        tiny_run("--eval_strategy", "epoch")


def test_scoring_on_nothing_is_refused(tiny_run):
    with pytest.raises(ValueError, match="eval_on_start=True needs images to evaluate on; give an eval_split"):
        tiny_run("--eval_on_start", "true", "--eval_split", "")
