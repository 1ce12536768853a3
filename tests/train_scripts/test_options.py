"""Options of a run that trade memory and precision, each for its effect, and what a run logs."""

import math

import pytest
import torch

from eomt.train_scripts.training.trainer import EomtTrainer


def losses_of(trainer):
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def weights_of(trainer):
    return {name: parameter.detach() for name, parameter in trainer.model.named_parameters()}


# four steps: masking is at random in the second and in the last
TRAINING = ["--max_steps", "4", "--learning_rate", "1e-2", "--optim", "sgd", "--max_grad_norm", "0", "--eval_split", ""]


@pytest.mark.parametrize("frozen", ["0", "-1"])
def test_activation_checkpointing_trains_alike(tiny_run, frozen):
    """Also where blocks are masked, at random, and where the first ones are frozen."""
    words = [*TRAINING, "--frozen_blocks", frozen]
    plain, again = tiny_run(*words), tiny_run(*words, "--activation_checkpointing", "true", "--overwrite")
    assert again.model.is_activation_checkpointing and not plain.model.is_activation_checkpointing
    assert losses_of(again) == losses_of(plain)
    torch.testing.assert_close(weights_of(again), weights_of(plain), atol=1e-6, rtol=0)


def test_bf16_is_autocast_over_float32_weights(tiny_run):
    exact, half = tiny_run(*TRAINING), tiny_run(*TRAINING, "--bf16", "true", "--overwrite")
    assert {parameter.dtype for parameter in half.model.parameters()} == {torch.float32}
    assert losses_of(half) != losses_of(exact) and losses_of(half) == pytest.approx(losses_of(exact), rel=0.02)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="fp16 needs a CUDA device")
def test_fp16_trains_where_there_is_a_gpu(tiny_run):
    exact, half = tiny_run(*TRAINING), tiny_run(*TRAINING, "--fp16", "true", "--overwrite")
    assert losses_of(half) == pytest.approx(losses_of(exact), rel=0.02)


def test_frozen_blocks_stay_as_they_were(tiny_run, tmp_path):
    words = [*TRAINING, "--checkpoint", str(tmp_path / "start"), "--head_warmup", "0.1", "--encoder_warmup", "0.1"]
    start = tiny_run("--max_steps", "1", "--eval_split", "", "--output_dir", str(tmp_path / "start"))
    trained = weights_of(tiny_run(*words, "--frozen_blocks", "1", "--output_dir", str(tmp_path / "trained")))
    for name, weight in weights_of(start).items():
        if weight.numel():
            assert torch.equal(weight, trained[name]) == name.startswith(("embeddings.", "layers.0.")), name


def test_the_rates_and_masks_of_the_recipes_for_dinov3(tiny_run):
    """A quarter of the rate before the two blocks with queries; the first block's masks are gone after two of four steps."""
    words = ["--learning_rate", "1e-2", "--layer_decay", "0.5", "--undecayed_blocks", "-1", "--first_block_annealing", "2"]
    trainer = tiny_run(*TRAINING, *words)
    rates = sorted({group["initial_lr"] for group in trainer.optimizer.param_groups})
    assert rates == pytest.approx([1e-2 * 0.5**2, 1e-2])
    logs = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert [entry["mask_probability_0"] for entry in logs] == [1, pytest.approx(0.5**0.9, abs=1e-4), 0, 0]
    assert [entry["mask_probability_1"] for entry in logs] == [1, 1, 1, pytest.approx(0.5**0.9, abs=1e-4)]


@pytest.mark.parametrize("size", ["1", "4"])
def test_accumulated_gradients_are_those_of_the_large_batch(tiny_run, size, monkeypatch):
    """Every image has draws of its own, so that a split changes nothing but the order of sums."""
    gradients = []

    def record(self, model, grad_norm=None):
        gradients.append({name: parameter.grad.clone() for name, parameter in self.model.named_parameters()})
        return torch.zeros(())

    monkeypatch.setattr(EomtTrainer, "_get_grad_norm", record)
    words = ["--total_batch_size", "8", "--max_grad_norm", "0", "--eval_split", ""]
    for images in ("8", size):
        tiny_run(*words, "--per_device_train_batch_size", images, "--overwrite")
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-5, rtol=1e-5)
    assert max(gradient.abs().max() for gradient in gradients[0].values() if gradient.numel()) > 0.1


def test_everything_logged_arrives_in_tensorboard(tiny_run, tmp_path, monkeypatch):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    words = ["--max_steps", "2", "--report_to", "tensorboard", "--eval_on_start", "true", "--eval_strategy", "steps"]
    tiny_run(*words, "--output_dir", str(tmp_path / "out"))
    (folder,) = (tmp_path / "out/runs").iterdir()
    events = accumulator.EventAccumulator(str(folder), {"images": 0, "scalars": 0}).Reload()
    terms = [f"loss_{kind}{block}" for kind in ("mask", "dice", "cross_entropy") for block in ("", "_block_-1", "_block_-2")]
    logged = ["loss", *terms, "learning_rate", "learning_rate_head", "grad_norm", "mask_probability_0", "mask_probability_1"]
    for name in logged:
        scalars = events.Scalars(f"train/{name}")
        assert [scalar.step for scalar in scalars] == [1, 2] and math.isfinite(scalars[0].value), name
    assert [scalar.step for scalar in events.Scalars("eval/pq")][:3] == [0, 1, 2]
    assert not list((tmp_path / "elsewhere").iterdir())  # nothing is written where the run was started
