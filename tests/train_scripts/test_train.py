"""Whole runs of the training script on a few scenes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoImageProcessor, AutoModel

from eomt.train_scripts import train
from eomt.train_scripts.data.scenes import write_scenes
from eomt.train_scripts.evaluation.predicting import predict
from eomt.train_scripts.evaluation.scoring import score

CONFIG = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "patch_size": 16,
    "num_blocks": 2,
    "num_queries": 9,
    "num_register_tokens": 0,
    "train_num_points": 64,
}
BASE = ["--config", json.dumps(CONFIG), "--image_size", "112", "--save_strategy", "no", "--disable_tqdm", "true"]
BASE += ["--shuffle_buffer", "8", "--logging_steps", "1", "--head_warmup", "0.1", "--layer_decay", "1.0", "--overlays", "0"]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "scenes"
    write_scenes(folder, train=24, val=5)
    return folder


def run(scenes, out, *words):
    return train.run([*BASE, "--data", str(scenes), "--output_dir", str(out), *words])


def test_a_run_logs_every_term_anneals_scores_and_saves_what_auto_classes_load(scenes, tmp_path):
    trainer = run(scenes, tmp_path / "model", "--max_steps", "6", "--total_batch_size", "4", "--eval_on_start", "true")
    logs = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert len(logs) == 6
    for entry in logs:
        terms = [value for name, value in entry.items() if name.startswith("loss_")]
        assert len(terms) == 9 and sum(terms) == pytest.approx(entry["loss"], rel=1e-3)
    assert [entry["mask_probability_1"] for entry in logs] == [1, 1, 1, 1, 1, 0]
    assert {"eval_pq", "before_pq"} <= json.loads((tmp_path / "model/all_results.json").read_text()).keys()
    model = AutoModel.from_pretrained(tmp_path / "model")
    assert type(model).__module__ == "eomt.modeling_eomt" and not model.attn_mask_probs.any()
    processor = AutoImageProcessor.from_pretrained(tmp_path / "model")
    assert processor.stuff_classes == list(range(8, 14)) and model.config.id2label[0] == "bee"


@pytest.mark.every_encoder
def test_every_encoder_trains_scores_predicts_and_is_trained_further(scenes, tmp_path, model_type):
    config, out = json.dumps({**CONFIG, "model_type": model_type}), tmp_path / "model"
    words = ["--config", config, "--max_steps", "2", "--total_batch_size", "4", "--layer_decay", "0.8", "--frozen_blocks", "1"]
    model = run(scenes, out, *words).model
    assert model.config.model_type == model_type and not model.attn_mask_probs.any()
    assert ("With transformers alone" in (out / "README.md").read_text()) == (model_type != "eomt_eva02")
    assert list(AutoImageProcessor.from_pretrained(out).image_mean) == list(model.config.image_mean)
    scores, _ = score(checkpoint=str(out), data=str(scenes), split="val", task="panoptic")
    assert "pq" in scores
    predicted = predict(checkpoint=str(out), images=str(scenes), task="panoptic", output=str(tmp_path / "predictions"))
    assert predicted == {"predicted": 5, "done": 0, "broken": 0}
    words = ["--checkpoint", str(out), "--config", "{}", "--max_steps", "1", "--total_batch_size", "4"]
    tuned = run(scenes, tmp_path / "tuned", *words)
    assert type(tuned.model) is type(model) and tuned.model.config.num_queries == 9


def test_given_again_it_says_what_to_do_with_the_finished_run_and_changes_nothing(scenes, tmp_path, capsys, monkeypatch):
    words = ["--max_steps", "2", "--total_batch_size", "4"]
    run(scenes, tmp_path, *words)
    stored = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    capsys.readouterr()
    assert run(scenes, tmp_path, *words) is None
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == stored
    shown = capsys.readouterr().out
    assert shown.count("\n") == 1 and f"{tmp_path} holds this run, finished: nothing is left to train." in shown
    assert f"eomt score --checkpoint {tmp_path} --data {scenes} --split val --task panoptic" in shown
    assert f"eomt predict --checkpoint {tmp_path} " in shown and "--overwrite" in shown


def test_overwrite_removes_what_the_earlier_run_left_and_nothing_else(scenes, tmp_path):
    words = ["--max_steps", "2", "--total_batch_size", "4", "--save_strategy", "steps", "--save_steps", "1"]
    run(scenes, tmp_path, *words, "--eval_on_start", "true", "--overlays", "1", "--save_total_limit", "0")
    assert {"eval_results.json", "before_results.json", "picture.png", "checkpoint-1"} <= {path.name for path in tmp_path.iterdir()}
    (tmp_path / "mine.txt").write_text("a note")
    with pytest.raises(ValueError, match="a run of other options, this one having max_steps=1 instead of 2.* --overwrite"):
        run(scenes, tmp_path, "--max_steps", "1", "--total_batch_size", "4", "--eval_split", "")
    trainer = run(scenes, tmp_path, "--max_steps", "1", "--total_batch_size", "4", "--eval_split", "", "--overwrite")
    assert trainer.state.global_step == 1
    left = {path.name for path in tmp_path.iterdir()}
    assert "mine.txt" in left and not left & {"before_results.json", "eval_results.json", "picture.png"}
    assert not list(tmp_path.glob("checkpoint-*"))
    assert not any("eval" in name or "before" in name for name in json.loads((tmp_path / "all_results.json").read_text()))


def test_a_folder_that_holds_something_else_is_refused_also_with_overwrite(scenes, tmp_path):
    (tmp_path / "README.md").write_text("mine")
    for more in ([], ["--overwrite"]):
        with pytest.raises(ValueError, match="holds something else than a run, such as README.md; choose another folder"):
            run(scenes, tmp_path, "--max_steps", "1", "--total_batch_size", "4", *more)
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


def test_evaluation_between_steps_scores_the_unmasked_model_and_leaves_the_training_as_it_was(scenes, tmp_path):
    words = ["--max_steps", "4", "--total_batch_size", "4", "--optim", "sgd"]
    losses = []
    for evaluating in (["--eval_strategy", "no"], ["--eval_strategy", "steps", "--eval_steps", "1"]):
        trainer = run(scenes, tmp_path / evaluating[1], *words, *evaluating)
        losses.append([entry["loss"] for entry in trainer.state.log_history if "loss" in entry])
    assert losses[0] == losses[1]
    assert sum("eval_pq" in entry for entry in trainer.state.log_history) == 5


@pytest.mark.parametrize(("task", "scores"), [("semantic", {"eval_miou", "eval_pixel_accuracy"}), ("instance", {"eval_ap50"})])
def test_other_tasks_from_the_same_data(scenes, tmp_path, task, scores):
    trainer = run(scenes, tmp_path, "--task", task, "--max_steps", "2", "--total_batch_size", "4")
    results = json.loads((tmp_path / "eval_results.json").read_text())
    assert scores <= results.keys() and not any(name.startswith("eval_pq") for name in results)
    processor, model = AutoImageProcessor.from_pretrained(tmp_path), AutoModel.from_pretrained(tmp_path)
    assert processor.do_split_image == (task == "semantic") and model.config.num_labels == (8 if task == "instance" else 14)
    assert trainer.validation.labels.names == list(model.config.id2label.values())


@pytest.mark.parametrize("mode", ["always", "never"])
def test_masking_may_be_kept_or_left_out(scenes, tmp_path, mode):
    trainer = run(scenes, tmp_path, "--max_steps", "2", "--total_batch_size", "4", "--masking", mode, "--eval_split", "")
    assert trainer.model.attn_mask_probs.tolist() == [1.0 if mode == "always" else 0.0] * 2
    terms = [name for name in next(entry for entry in trainer.state.log_history if "loss" in entry) if name.startswith("loss_")]
    assert len(terms) == (9 if mode == "always" else 3)  # never masked: the last prediction alone, as in the paper's Table 7


def test_accumulated_batches_train_as_one_large_batch(scenes, tmp_path):
    """Equal draws by sample keys, equal normalizers: the same weights whatever the split."""
    weights = []
    for size in ("8", "2"):
        words = ["--max_steps", "2", "--total_batch_size", "8", "--per_device_train_batch_size", size, "--eval_split", ""]
        words += ["--bf16", "false"]
        trainer = run(
            scenes, tmp_path / size, *words, "--learning_rate", "1e-2", "--optim", "sgd", "--max_grad_norm", "0", "--bf16", "false"
        )
        weights.append(torch.cat([p.detach().flatten() for p in trainer.model.parameters()]))
        losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
        weights.append(torch.tensor(losses))
    assert torch.allclose(weights[0], weights[2], atol=1e-6)
    assert torch.allclose(weights[1], weights[3], rtol=1e-5)


def test_a_budget_of_minutes_ends_the_schedules_and_the_training(scenes, tmp_path):
    trainer = run(scenes, tmp_path, "--minutes", "0.02", "--total_batch_size", "4", "--eval_split", "")
    assert trainer.progress.value == 1 and not trainer.model.attn_mask_probs.any()
    assert all(rate == 0 for rate in trainer.lr_scheduler.get_last_lr())


def test_a_pretrained_encoder_stands_still_until_its_warm_up(scenes, tmp_path):
    run(scenes, tmp_path / "first", "--max_steps", "1", "--total_batch_size", "4", "--eval_split", "")
    words = ["--max_steps", "8", "--checkpoint", str(tmp_path / "first"), "--head_warmup", "0.5", "--encoder_warmup", "0.25"]
    trainer = run(scenes, tmp_path / "second", *words, "--total_batch_size", "4", "--eval_split", "")
    logs = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert [entry["learning_rate"] > 0 for entry in logs] == [False] * 5 + [True] * 3
    assert [entry["learning_rate_head"] > 0 for entry in logs] == [False] + [True] * 7


def test_the_loss_falls(scenes, tmp_path):
    words = ["--max_steps", "40", "--total_batch_size", "8", "--per_device_train_batch_size", "8", "--eval_split", ""]
    trainer = run(
        scenes, tmp_path, *words, "--learning_rate", "3e-3", "--max_grad_norm", "1", "--min_scale", "1", "--max_scale", "1"
    )
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])


@pytest.mark.slow
def test_accelerate_launches_two_processes_that_end_alike(scenes, tmp_path):
    script = str(Path(train.__file__))
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no", script, *BASE, "--data", str(scenes)]
    launch += ["--output_dir", str(tmp_path), "--max_steps", "3", "--total_batch_size", "4", "--per_device_train_batch_size", "2"]
    done = subprocess.run(launch, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert torch.load(tmp_path / "training_args.bin", weights_only=False).gradient_accumulation_steps == 1  # 4 = 2 x 2
    saved = AutoModel.from_pretrained(tmp_path)
    trainer = train.run([*BASE, "--data", str(scenes), "--output_dir", str(tmp_path / "again"), "--max_steps", "1",
                          "--learning_rate", "0", "--checkpoint", str(tmp_path), "--total_batch_size", "4"])  # fmt: skip
    assert all(torch.equal(a, b) for a, b in zip(saved.parameters(), trainer.model.parameters(), strict=True))
    two, one = (json.loads((folder / "eval_results.json").read_text()) for folder in (tmp_path, tmp_path / "again"))
    assert two["eval_pq"] == one["eval_pq"]
