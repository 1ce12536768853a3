"""Fixtures of whole runs: a few scenes, and the training script on them with a tiny model."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from eomt import EomtConfig, EomtForUniversalSegmentation
from eomt.train_scripts import scenes, train
from eomt.train_scripts.scenes import write_scenes
from eomt.train_scripts.tasks import TASKS, task_labels, task_processor
from eomt.train_scripts.training.trainer import EomtTrainer

CONFIG = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_blocks": 2,
    "num_queries": 9,
    "num_register_tokens": 0,
    "train_num_points": 64,
}
WORDS = ["--config", json.dumps(CONFIG), "--image_size", "112", "--shuffle_buffer", "8", "--max_steps", "1"]
WORDS += ["--total_batch_size", "4", "--logging_steps", "1", "--save_strategy", "no", "--disable_tqdm", "true"]
WORDS += ["--layer_decay", "1.0", "--head_warmup", "0.1", "--overlays", "0"]


@pytest.fixture(scope="session")
def few_scenes(tmp_path_factory) -> Path:
    """A dataset of 8 training and 3 validation scenes, 112 pixels, 14 classes."""
    folder = tmp_path_factory.mktemp("data") / "few"
    write_scenes(folder, train=8, val=3)
    return folder


@pytest.fixture(scope="session")
def tiny_words(few_scenes) -> list[str]:
    """The options of a run of one step of 4 images; later words win."""
    return [*WORDS, "--data", str(few_scenes)]


@pytest.fixture
def tiny_run(tiny_words, tmp_path) -> Callable[..., EomtTrainer]:
    """`tiny_run(*words)`: such a run with more words, in `tmp_path` unless they say otherwise."""

    def run(*words: str) -> EomtTrainer:
        return train.run([*tiny_words, "--output_dir", str(tmp_path), *words])

    return run


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory) -> Path:
    """A folder with a tiny checkpoint for each task, with queries sure enough of something to make segments.

    Masked in all blocks, as a model in training is.
    """
    folder = tmp_path_factory.mktemp("checkpoints")
    sizes = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, num_blocks=1, num_queries=9, image_size=64)
    for task in TASKS:
        labels = task_labels(scenes.LABELS, task)
        torch.manual_seed(0)
        model = EomtForUniversalSegmentation(EomtConfig(**sizes, id2label=dict(enumerate(labels.names))))
        with torch.no_grad():
            model.class_predictor.weight.mul_(6)
        model.save_pretrained(folder / task)
        task_processor(task, 64, labels).save_pretrained(folder / task)
    return folder
