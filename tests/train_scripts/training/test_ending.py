"""What a finished run leaves, and in which order."""

import json
from types import SimpleNamespace

import pytest

from eomt.train_scripts.training.ending import RESULTS, end_run, remove_results, scores_before


class Recorder:
    """Stands in for a trainer: notes what is asked of it, in order."""

    def __init__(self, folder, push=False, evaluates=True, first=True):
        self.args = SimpleNamespace(output_dir=str(folder), push_to_hub=push)
        self.calls, self.first = [], first
        self.eval_dataset = [] if evaluates else None
        self.state = SimpleNamespace(log_history=[{"step": 0, "eval_pq": 1.0}, {"step": 4, "eval_pq": 2.0}])
        self.state.best_model_checkpoint = "checkpoint-2"
        note = self.calls.append
        self.finished_mark = SimpleNamespace(write=lambda args: note("mark"), complete=lambda args: note("complete"))
        self.saver = SimpleNamespace(remove_interim=lambda args, best: note(f"remove interim, not {best}"))
        self.validation = SimpleNamespace(overlays=SimpleNamespace(remove=lambda args: self.calls.append("remove picture")))

    def is_world_process_zero(self):
        return self.first

    def save_metrics(self, name, metrics):
        self.calls.append((name, dict(metrics)))

    def evaluate(self):
        return {"eval_pq": 3.0}

    def save_model(self, _internal_call):
        assert _internal_call  # else it would push, without scores and card
        self.calls.append("model")

    def __getattr__(self, name):
        return lambda: self.calls.append(name)


# interim checkpoints may go when the mark is there, and the run is complete when all else is
STORED = [
    "model",
    "save_state",
    "remove picture",
    "mark",
    "remove interim, not checkpoint-2",
    ("train", {"train_loss": 5.0}),
    ("before", {"before_pq": 1.0}),
]


@pytest.mark.parametrize(
    ("push", "last"), [(False, ["create_model_card", "complete"]), (True, ["complete", "push_to_hub"])], ids=["kept", "pushed"]
)
def test_the_model_comes_first_and_then_the_mark_and_a_push_comes_last(tmp_path, push, last):
    trainer = Recorder(tmp_path, push)
    end_run(trainer, {"train_loss": 5.0})
    assert trainer.calls == [*STORED, ("eval", {"eval_pq": 3.0}), *last]


def test_without_images_to_evaluate_on_nothing_is_scored(tmp_path):
    trainer = Recorder(tmp_path, evaluates=False)
    end_run(trainer, {"train_loss": 5.0})
    assert trainer.calls == [*STORED, "create_model_card", "complete"]


@pytest.mark.parametrize("first", [True, False])
def test_only_the_first_process_removes_earlier_scores(tmp_path, first):
    (tmp_path / "eval_results.json").touch()
    trainer = Recorder(tmp_path, first=first)
    end_run(trainer, {})
    assert (tmp_path / "eval_results.json").exists() != first and ("remove picture" in trainer.calls) == first


def test_earlier_scores_go_and_nothing_else_does(tmp_path):
    for name in (*(f"{name}_results.json" for name in RESULTS), "trainer_state.json"):
        (tmp_path / name).write_text(json.dumps({}))
    remove_results(tmp_path)
    remove_results(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["trainer_state.json"]


def test_scores_before_are_those_of_step_0():
    log = [{"step": 0, "eval_pq": 1.0, "eval_sq": 2.0}, {"step": 1, "loss": 3.0}, {"step": 1, "eval_pq": 4.0}]
    assert scores_before(log) == {"before_pq": 1.0, "before_sq": 2.0} and scores_before(log[1:]) == {}
