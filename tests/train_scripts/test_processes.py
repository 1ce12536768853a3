"""Two processes on a CPU: averages, scores and the best model are those of one, and a broken loss on one of them ends both."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoModel

from eomt.train_scripts import train
from eomt.train_scripts.data import scenes
from eomt.train_scripts.data.dataset_folder import write_labels
from eomt.train_scripts.data.formats.segment_rows import encoded_ids
from eomt.train_scripts.data.process_end import orderly_end
from eomt.train_scripts.data.shard_writer import write_split
from eomt.train_scripts.data.training_collator import TrainingCollator
from eomt.train_scripts.evaluation.checkpoints import MARK, checkpoints_of, last_whole
from eomt.train_scripts.training.finite_loss import FILE
from eomt.train_scripts.training.trainer import EomtTrainer
from eomt.train_scripts.training.validation import Validation

SPLIT = ["--total_batch_size", "4", "--per_device_train_batch_size", "1", "--eval_split", ""]  # 2 processes x 2 batches


def launch(
    words: list[str], mode: str, meanwhile: Callable[[list[subprocess.Popen]], None] = lambda _: None
) -> list[tuple[int, str]]:
    """Exit status and errors of both processes, with which something may be done meanwhile."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = []
    for rank in range(2):
        names = {
            "RANK": rank,
            "LOCAL_RANK": rank,
            "WORLD_SIZE": 2,
            "LOCAL_WORLD_SIZE": 2,
            "MASTER_PORT": port,
            "OMP_NUM_THREADS": 1,
        }
        env = {**os.environ, "MASTER_ADDR": "127.0.0.1", "CUDA_VISIBLE_DEVICES": "", **{k: str(v) for k, v in names.items()}}
        command = [sys.executable, __file__, mode, *words]
        processes.append(subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True))
    meanwhile(processes)
    errors = [process.communicate(timeout=240)[1] for process in processes]
    return [(process.returncode, error) for process, error in zip(processes, errors, strict=True)]


@pytest.mark.slow
def test_a_broken_loss_on_one_process_ends_both_and_names_each_ones_images(tiny_words, tmp_path):
    words = [*tiny_words, *SPLIT, "--output_dir", str(tmp_path), "--max_steps", "8", "--logging_steps", "4"]
    ended = launch([*words, "--save_strategy", "steps", "--save_steps", "2"], "nan")
    assert [status for status, _ in ended] == [1, 1], ended
    saved = json.loads((tmp_path / FILE).read_text())
    assert saved["step"] == 3  # found before the checkpoint of step 4 was written
    assert [folder.name for folder in tmp_path.glob("checkpoint-*")] == ["checkpoint-2"]
    assert not (tmp_path / "model.safetensors").exists()
    assert [(image["process"], image["loss_finite"]) for image in saved["images"]] == [(0, True), (0, True), (1, False), (1, True)]
    assert saved["numbers"]["1"]["loss_mask"] == "nan" and "nan" not in saved["numbers"]["0"]["loss_mask"]
    names = [image["image_id"] for image in saved["images"]]
    for process, own in enumerate([f"{names[0]}, {names[1]}", names[2]]):
        assert f"step 3: the loss or its gradients are not finite. On process {process} of 2" in ended[process][1]
        assert f"; images {own}. The images of all processes are in " in ended[process][1]


def second_is_best() -> Callable[..., dict[str, float]]:
    """A `Validation.score` by which the second evaluation is the best."""
    score, numbers = Validation.score, iter([10.0, 50.0, 30.0, 50.0])
    return lambda *arguments, **options: {**score(*arguments, **options), "miou": next(numbers)}


def outcome(trainer: EomtTrainer) -> dict:
    """The weights that a training ends with, and what it scored on the way."""
    weights = {name: parameter.detach() for name, parameter in trainer.model.named_parameters()}
    name = "eval_pixel_accuracy"
    scored = [entry[name] for entry in trainer.state.log_history if name in entry]
    return {"weights": weights, "scored": scored, "best": trainer.state.best_global_step}


@pytest.mark.slow
def test_the_best_averages_of_two_processes_are_those_of_one(tiny_words, tiny_run, tmp_path, monkeypatch):
    """With an evaluation and a picture after every step."""
    words = ["--max_steps", "3", "--ema_decay", "0.5", "--learning_rate", "1e-3", "--max_grad_norm", "1", *SPLIT]
    words += ["--eval_split", "val", "--eval_strategy", "steps", "--eval_steps", "1", "--task", "semantic", "--overlays", "2"]
    words += ["--save_strategy", "best", "--load_best_model_at_end", "true", "--save_total_limit", "0"]
    ended = launch([*tiny_words, *words, "--output_dir", str(tmp_path)], "averages")
    assert [status for status, _ in ended] == [0, 0], ended
    one, other = (torch.load(tmp_path / f"outcome-{rank}.pt") for rank in range(2))
    assert one["best"] == other["best"] == 2 and one["scored"] == other["scored"] and len(one["scored"]) == 4
    assert all(torch.equal(weight, other["weights"][name]) for name, weight in one["weights"].items())
    assert sorted(folder.name for folder in tmp_path.glob("checkpoint-*")) == ["checkpoint-1", "checkpoint-2"]
    for stored in (tmp_path, tmp_path / "checkpoint-2"):
        assert torch.equal(AutoModel.from_pretrained(stored).query.weight, one["weights"]["query.weight"])
    assert Image.open(tmp_path / "picture.png").height > 2 * 336
    monkeypatch.setattr(Validation, "score", second_is_best())
    alone = outcome(tiny_run(*words, "--output_dir", str(tmp_path / "alone")))
    torch.testing.assert_close(one["weights"], alone["weights"], atol=1e-5, rtol=0)
    assert one["scored"] == pytest.approx(alone["scored"], abs=0.1) and max(one["scored"]) > 0


@pytest.mark.slow
def test_two_launched_processes_take_the_steps_of_one(tmp_path, tiny_words):
    """Plain gradient descent, whose steps are the gradients themselves, over eight images of which one has no segment."""
    rows = [scenes.make_row(0, "train", index) for index in range(8)]
    rows[3] |= {"id_map": encoded_ids(np.zeros((112, 112), np.int32)), "segments": []}
    write_split(tmp_path / "data", "train", rows, 8)
    write_labels(tmp_path / "data", scenes.LABELS)
    words = [*tiny_words, *SPLIT, "--data", str(tmp_path / "data"), "--optim", "sgd", "--max_grad_norm", "0", "--max_steps", "4"]
    words += ["--weight_decay", "0", "--head_warmup", "0.01"]

    def weights(name: str) -> torch.Tensor:
        return torch.cat([weight.flatten().double() for weight in torch.load(tmp_path / name / "outcome-0.pt")["weights"].values()])

    done = accelerate("plain", [*words, "--learning_rate", "1e-2", "--output_dir", str(tmp_path / "two")])
    assert done.returncode == 0, done.stderr[-3000:]
    for name, rate in (("one", "1e-2"), ("start", "0")):
        trainer = train.run([*words, "--learning_rate", rate, "--output_dir", str(tmp_path / name)])
        torch.save(outcome(trainer), tmp_path / name / "outcome-0.pt")
    two, one = weights("two") - weights("start"), weights("one") - weights("start")
    assert one.norm() > 0.1 and (two - one).norm() < 1e-4 * one.norm()
    logs = [json.loads((tmp_path / name / "trainer_state.json").read_text())["log_history"] for name in ("two", "one")]
    losses = [[entry["loss"] for entry in log if "loss" in entry] for log in logs]
    assert len(losses[0]) == 4 and losses[0] == pytest.approx(losses[1], rel=1e-4)


def accelerate(mode: str, words: list[str]) -> subprocess.CompletedProcess:
    """Two processes by accelerate's launcher."""
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    command += ["--mixed_precision", "no", "--dynamo_backend", "no", __file__, mode, *words]
    return subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=200)


@pytest.mark.slow
def test_two_processes_train_the_adapter_of_one(tiny_words, tmp_path):
    train.run([*tiny_words, "--eval_split", "", "--output_dir", str(tmp_path / "start")])
    words = [*tiny_words, *SPLIT, "--checkpoint", str(tmp_path / "start"), "--lora", "--optim", "sgd", "--max_grad_norm", "0"]
    words += ["--max_steps", "4", "--learning_rate", "1e-2", "--weight_decay", "0", "--encoder_warmup", "0.1", "--save_strategy"]
    words += ["steps", "--save_steps", "2"]
    ended = launch([*words, "--output_dir", str(tmp_path / "two")], "plain")
    assert [status for status, _ in ended] == [0, 0], ended
    train.run([*words, "--output_dir", str(tmp_path / "one")])
    for name in ("model.safetensors", "adapter/adapter_model.safetensors", "checkpoint-4/adapter/adapter_model.safetensors"):
        torch.testing.assert_close(*(load_file(tmp_path / run / name) for run in ("two", "one")), atol=1e-6, rtol=1e-4)


@pytest.mark.slow
def test_a_lost_process_ends_the_launch_which_then_resumes_bit_for_bit(tiny_words, tmp_path):
    """It ends with an error, in seconds, and without a model or a checkpoint that is not whole."""
    words = [*tiny_words, *SPLIT, "--max_steps", "7", "--save_strategy", "steps", "--save_steps", "2", "--learning_rate", "1e-2"]
    words += ["--max_grad_norm", "1", "--ema_decay", "0.9", "--output_dir"]
    lost = accelerate("lost", [*words, str(tmp_path / "lost")])
    assert lost.returncode != 0 and "Signal 9" in lost.stderr + lost.stdout
    assert last_whole(tmp_path / "lost").name == "checkpoint-2" and not (tmp_path / "lost" / "model.safetensors").exists()
    for name in ("lost", "whole"):
        done = accelerate("plain", [*words, str(tmp_path / name)])
        assert done.returncode == 0, done.stderr[-3000:]
    resumed, whole = (load_file(tmp_path / name / "model.safetensors") for name in ("lost", "whole"))
    assert all(torch.equal(weight, whole[name]) for name, weight in resumed.items())
    losses = [json.loads((tmp_path / name / "trainer_state.json").read_text())["log_history"] for name in ("lost", "whole")]
    assert [entry["loss"] for entry in losses[0] if "loss" in entry] == [entry["loss"] for entry in losses[1] if "loss" in entry]


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [[1], [0, 1, 0, 1]], ids=["one", "both, twice as by a launcher"])
def test_a_signal_to_one_process_stops_both_at_the_same_step(tiny_words, tmp_path, ranks):
    words = [*tiny_words, *SPLIT, "--max_steps", "100000", "--output_dir", str(tmp_path), "--save_strategy", "steps"]

    def interrupt(processes: list[subprocess.Popen]) -> None:
        while last_whole(tmp_path) is None:
            assert all(process.poll() is None for process in processes)
            time.sleep(0.1)
        for rank in ranks:
            processes[rank].send_signal(signal.SIGINT)

    ended = launch([*words, "--save_steps", "2"], "plain", interrupt)
    assert [status for status, _ in ended] == [130, 130], ended
    folder = last_whole(tmp_path)
    assert all((path / MARK).is_file() for path in checkpoints_of(tmp_path)) and folder == checkpoints_of(tmp_path)[0]
    assert ended[0][1].endswith(f"saved in {folder}: the same command goes on from there\n")
    assert "Traceback" not in ended[0][1] + ended[1][1]


@pytest.mark.slow
def test_the_first_process_prepares_the_data_and_an_error_of_it_ends_both(tiny_words, tmp_path):
    for name, pixels in (("images", np.zeros((40, 60, 3), np.uint8)), ("masks", np.repeat(np.uint8([[0] * 60, [1] * 60]), 20, 0))):
        (tmp_path / "raw" / name).mkdir(parents=True)
        for number in range(16):
            Image.fromarray(pixels).save(tmp_path / "raw" / name / f"{number}.png")
    words = [*tiny_words, *SPLIT, "--task", "semantic", "--data", str(tmp_path / "raw")]
    ended = launch([*words, "--output_dir", str(tmp_path / "bad"), "--prepare", "--kind semantic"], "plain")
    assert [status for status, _ in ended] == [1, 1] and all("ValueError: classes=[]" in error for _, error in ended), ended
    prepared = ["--prepare", "--kind semantic --classes sky,road --void 255"]
    ended = launch([*words, "--output_dir", str(tmp_path / "run"), *prepared], "plain")
    assert [status for status, _ in ended] == [0, 0], ended
    assert (tmp_path / "run_data" / "labels.json").is_file() and (tmp_path / "run" / "model.safetensors").is_file()


def _run(mode: str, words: list[str]) -> None:
    """One of the two processes."""
    torch.set_num_threads(1)
    rank, collate, calls = int(os.environ["RANK"]), TrainingCollator.__call__, []

    def spoil(self, samples):
        calls.append(1)
        batch = collate(self, samples)
        if rank == 1 and len(calls) == 5:  # the first batch of step 3
            batch["pixel_values"][:] = float("nan")
        return batch

    def vanish(self, samples):
        calls.append(1)
        if rank == 1 and len(calls) == 6:  # in step 3
            os.kill(os.getpid(), signal.SIGKILL)
        return collate(self, samples)

    if mode == "nan":
        TrainingCollator.__call__ = spoil
    elif mode == "lost":
        TrainingCollator.__call__ = vanish
    elif mode == "averages":
        Validation.score = second_is_best()
    with orderly_end():
        _train_and_store(rank, words)


def _train_and_store(rank: int, words: list[str]) -> None:
    trainer = train.run(words)
    torch.save(outcome(trainer), os.path.join(trainer.args.output_dir, f"outcome-{rank}.pt"))


if __name__ == "__main__":
    _run(sys.argv[1], sys.argv[2:])
