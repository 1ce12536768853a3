"""Averaged weights are what is scored and stored, and a resumed run goes on with the trained ones."""

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, Trainer, TrainerControl, TrainerState, TrainingArguments

from eomt.train_scripts.training.validation import Validation
from eomt.train_scripts.training.weight_average import FILE, WeightAverage, average_decay

TRAINING = ["--learning_rate", "1e-2", "--max_grad_norm", "1", "--eval_split", ""]


def test_the_decay_rises_to_its_value():
    decays = [average_decay(updates, 0.999) for updates in range(20000)]
    assert decays[0] == 0.1 and decays[-1] == 0.999 and decays == sorted(decays)
    assert average_decay(90, 0.999) == 0.91


@pytest.fixture
def averaged():
    """A model of one weight and its average, in the middle of a training."""
    model = torch.nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(1.0)
    average = WeightAverage(0.5)
    average.on_train_begin(None, None, None, model=model)
    return model, average


def step(model, average, weight):
    model.weight.data.fill_(weight)
    average.on_step_end(None, None, None)


def test_averages_by_hand(averaged):
    model, average = averaged
    for weight in (2.0, 3.0):
        step(model, average, weight)
    first = 0.1 * 1 + 0.9 * 2
    second = 2 / 11 * first + 9 / 11 * 3
    with average.swapped_in():
        assert model.weight.item() == pytest.approx(second)
    assert model.weight.item() == 3.0


def test_weights_come_back_after_an_error(averaged):
    model, average = averaged
    step(model, average, 2.0)
    with pytest.raises(KeyError), average.swapped_in():
        raise KeyError
    assert model.weight.item() == 2.0


@pytest.mark.parametrize("best", [False, True])
def test_the_end_leaves_the_averages_or_the_best_checkpoint(averaged, best, tmp_path):
    model, average = averaged
    step(model, average, 2.0)
    state = TrainerState(best_model_checkpoint="checkpoint-1" if best else None)
    args = TrainingArguments(str(tmp_path), load_best_model_at_end=best, save_strategy="best", metric_for_best_model="pq")
    average.on_train_end(args, state, TrainerControl())
    assert model.weight.item() == pytest.approx(2.0 if best else 1.9)


def test_sharded_parameters_are_refused(tiny_run, monkeypatch):
    init = Trainer.__init__

    def sharded(self, *args, **kwargs):
        init(self, *args, **kwargs)
        self.is_fsdp_enabled = True

    monkeypatch.setattr(Trainer, "__init__", sharded)
    with pytest.raises(ValueError, match="ema_decay=0.9 averages whole parameters, which FSDP and DeepSpeed cut up"):
        tiny_run("--ema_decay", "0.9")


def test_half_precision_weights_are_refused():
    with pytest.raises(ValueError, match="float32 weights, not {torch.bfloat16}"):
        WeightAverage(0.9).on_train_begin(None, None, None, model=torch.nn.Linear(1, 1).bfloat16())


def test_averages_are_scored_and_stored_and_frozen_weights_left_out(tiny_run, tmp_path, monkeypatch):
    weights, scored = [], []
    average_of = WeightAverage.on_step_end

    def record(self, *args, model, **kwargs):
        average_of(self, *args, **kwargs)
        weights.append(model.class_predictor.weight.detach().clone())

    score = Validation.score

    def record_score(self, model, *arguments, **options):
        scored.append(model.class_predictor.weight.detach().clone())
        return score(self, model, *arguments, **options)

    monkeypatch.setattr(WeightAverage, "on_step_end", record)
    monkeypatch.setattr(Validation, "score", record_score)
    words = [
        "--max_steps",
        "3",
        "--ema_decay",
        "0.3",
        "--frozen_blocks",
        "1",
        "--eval_on_start",
        "true",
        "--eval_strategy",
        "steps",
    ]
    tiny_run(*words, "--eval_steps", "1", "--save_strategy", "steps", "--save_steps", "3", *TRAINING[:4])
    expected = scored[0]  # before the first step
    for updates, weight in enumerate(weights):
        decay = min(0.3, (1 + updates) / (10 + updates))
        expected = decay * expected + (1 - decay) * weight
        torch.testing.assert_close(scored[updates + 1], expected)
    saved, checkpoint = AutoModel.from_pretrained(tmp_path), AutoModel.from_pretrained(tmp_path / "checkpoint-3")
    for model in (saved, checkpoint):
        torch.testing.assert_close(model.class_predictor.weight, expected)
        assert not model.attn_mask_probs.any()
    trained = load_file(tmp_path / "checkpoint-3" / FILE)
    assert torch.equal(trained["class_predictor.weight"], weights[-1])
    assert not any(name.startswith(("embeddings", "layers.0.")) for name in trained)


def test_a_resumed_run_ends_as_one_that_was_not_interrupted(tiny_run, tmp_path):
    words = [*TRAINING, "--max_steps", "4", "--ema_decay", "0.9", "--save_strategy", "steps", "--save_steps", "2"]
    words += ["--logging_steps", "2", "--save_total_limit", "0"]
    whole = tiny_run(*words, "--output_dir", str(tmp_path / "whole"))
    resumed = tiny_run(
        *words, "--output_dir", str(tmp_path / "b"), "--resume_from_checkpoint", str(tmp_path / "whole/checkpoint-2")
    )
    assert resumed.state.global_step == 4 and resumed.average.updates == 4
    torch.testing.assert_close(dict(resumed.model.named_parameters()), dict(whole.model.named_parameters()), atol=1e-6, rtol=0)
    trained = [load_file(folder / "checkpoint-4" / FILE) for folder in (tmp_path / "whole", tmp_path / "b")]
    torch.testing.assert_close(*trained, atol=1e-6, rtol=0)
    for log, again in zip(
        *([entry for entry in run.state.log_history if "loss" in entry] for run in (whole, resumed)), strict=True
    ):
        assert again == pytest.approx(log, rel=1e-4)


def test_resuming_with_or_without_averages_only_as_begun(tiny_run, tmp_path):
    words = ["--max_steps", "2", "--save_strategy", "steps", "--save_steps", "1", "--eval_split", "", "--save_total_limit", "0"]
    for name, averaging in (("with", ["--ema_decay", "0.9"]), ("without", [])):
        tiny_run(*words, *averaging, "--output_dir", str(tmp_path / name))
    new = ["--output_dir", str(tmp_path / "new")]
    with pytest.raises(ValueError, match="is a checkpoint of a run with ema_decay"):
        tiny_run(*words, *new, "--resume_from_checkpoint", str(tmp_path / "with/checkpoint-1"))
    with pytest.raises(ValueError, match="is of a run without ema_decay, or of one with save_only_model"):
        tiny_run(*words, *new, "--ema_decay", "0.9", "--resume_from_checkpoint", str(tmp_path / "without/checkpoint-1"))
    with pytest.raises(ValueError, match="other parameters than those trained"):
        resume = ["--resume_from_checkpoint", str(tmp_path / "with/checkpoint-1")]
        tiny_run(*words, "--ema_decay", "0.9", "--frozen_blocks", "1", *new, *resume)
