"""Fixtures of whole runs: a few scenes, and the training script on them with a tiny model."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from eomt.train_scripts import train
from eomt.train_scripts.scenes import write_scenes
from eomt.train_scripts.trainer import EomtTrainer

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
