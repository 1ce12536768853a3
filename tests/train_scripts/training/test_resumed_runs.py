"""A run that is killed and resumed gives, bit for bit, what the uninterrupted one gives."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from eomt.train_scripts import train
from eomt.train_scripts.evaluation.checkpoints import last_whole
from eomt.train_scripts.training.finite_loss import FiniteLoss
from eomt.train_scripts.training.trainer import EomtTrainer

# several epochs of 8 images, batches across their ends, averages, log and checkpoint out of step
RUN = ["--max_steps", "11", "--total_batch_size", "6", "--per_device_train_batch_size", "3", "--ema_decay", "0.9"]
RUN += ["--save_strategy", "steps", "--save_steps", "3", "--logging_steps", "2", "--save_total_limit", "1"]
RUN += [
    "--learning_rate",
    "1e-2",
    "--max_grad_norm",
    "1",
    "--eval_strategy",
    "steps",
    "--eval_steps",
    "5",
    "--color_jitter",
    "true",
    "--copy_paste",
    "0.5",
]


def _kill(*_, **__) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _run(when: str, words: list[str]) -> None:
    """A process that is killed in step 8, or while its third checkpoint is written, when the second is still there."""
    torch.set_num_threads(1)
    if when == "in a step":
        start_step = FiniteLoss.start_step
        FiniteLoss.start_step = lambda self, step, batches: _kill() if step == 8 else start_step(self, step, batches)
    if when == "in a checkpoint":
        save = EomtTrainer._save_rng_state
        EomtTrainer._save_rng_state = lambda self, folder: _kill() if self.state.global_step == 9 else save(self, folder)
    if when.isdigit():
        training_step = EomtTrainer.training_step
        EomtTrainer.training_step = lambda self, *inputs: [_await_signal(self, int(when)), training_step(self, *inputs)][1]
    sys.argv = ["train.py", *words]
    train.main()


def _await_signal(trainer: EomtTrainer, step: int) -> None:
    if trainer.state.global_step == step - 1 and not trainer.signals.received:
        print("in the step", flush=True)
        while not trainer.signals.received:
            time.sleep(0.01)


def killed(when: str, words: list[str]) -> None:
    done = subprocess.run([sys.executable, __file__, when, *words], capture_output=True, text=True, timeout=300)
    assert done.returncode == -signal.SIGKILL, done.stderr[-3000:]


def interrupted(number: signal.Signals, step: int, words: list[str]) -> str:
    """A process that gets a signal in a step, as do its workers; what it has printed since."""
    command = [sys.executable, __file__, str(step), *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while (line := process.stdout.readline()) != "in the step\n":
        assert line, process.stderr.read()[-3000:]
    os.killpg(process.pid, number)
    errors = process.communicate(timeout=300)[1]
    assert process.returncode == 130, errors[-3000:]
    return errors


def result_of(folder: Path) -> dict:
    """Weights, averages, optimiser and log of a finished run."""
    last = folder / "checkpoint-11"
    state = json.loads((folder / "trainer_state.json").read_text())
    timing = ("runtime", "per_second", "_flos")
    logs = [{name: value for name, value in entry.items() if not name.endswith(timing)} for entry in state["log_history"]]
    return {
        "model": load_file(folder / "model.safetensors"),
        "trained": load_file(last / "training_weights.safetensors"),
        "optimizer": torch.load(last / "optimizer.pt")["state"],
        "logs": [entry for entry in logs if "train_loss" not in entry],  # a mean over the resumed part alone
    }


def assert_identical(one, other) -> None:
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for name, value in one.items():
            assert_identical(value, other[name])
    else:
        assert one == other


@pytest.fixture(scope="module", params=["0", "2"])
def uninterrupted(request, tiny_words, tmp_path_factory) -> tuple[list[str], Path]:
    """Words of a run with 0 and with 2 workers, and the folder that it has left."""
    folder = tmp_path_factory.mktemp("whole")
    words = [*tiny_words, *RUN, "--dataloader_num_workers", request.param]
    train.run([*words, "--output_dir", str(folder)])
    return words, folder


@pytest.mark.slow
@pytest.mark.parametrize(("when", "resumed_from"), [("in a step", 6), ("in a checkpoint", 6)])
def test_killed_and_resumed_is_bit_for_bit_the_uninterrupted_run(uninterrupted, when, resumed_from, tmp_path):
    words, whole = uninterrupted
    words = [*words, "--output_dir", str(tmp_path)]
    killed(when, words)
    assert not (tmp_path / "model.safetensors").exists()
    assert last_whole(tmp_path) == tmp_path / f"checkpoint-{resumed_from}"
    assert (tmp_path / "checkpoint-9" / "model.safetensors").exists() == (when == "in a checkpoint")
    train.run(words)
    assert_identical(result_of(tmp_path), result_of(whole))
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-11"]


# in step 5 an evaluation is due, after which another step is taken
@pytest.mark.slow
@pytest.mark.parametrize(("number", "step", "stopped"), [(signal.SIGINT, 8, 8), (signal.SIGTERM, 8, 8), (signal.SIGINT, 5, 6)])
def test_stopped_by_a_signal_and_given_again_is_bit_for_bit_the_uninterrupted_run(uninterrupted, number, step, stopped, tmp_path):
    words, whole = uninterrupted
    words = [*words, "--output_dir", str(tmp_path)]
    errors = interrupted(number, step, words)
    folder = tmp_path / f"checkpoint-{stopped}"
    assert last_whole(tmp_path) == folder and "Traceback" not in errors
    assert f"{number.name}: the step at hand is finished and a checkpoint saved; press Ctrl-C again to end at once\n" in errors
    assert errors.endswith(f"stopped after step {stopped}, saved in {folder}: the same command goes on from there\n")
    assert train.run(words).state.global_step == 11
    assert_identical(result_of(tmp_path), result_of(whole))


if __name__ == "__main__":
    _run(sys.argv[1], sys.argv[2:])
