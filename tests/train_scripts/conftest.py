"""Fixtures of whole runs: a few scenes, and the training script on them with a tiny model."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from eomt import EomtConfig, EomtForUniversalSegmentation
from eomt.train_scripts import train
from eomt.train_scripts.data import scenes
from eomt.train_scripts.data.samples import Sample
from eomt.train_scripts.data.scenes import write_scenes
from eomt.train_scripts.evaluation.tasks import TASKS, task_of
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
WORDS += ["--bf16", "false", "--attn_implementation", "sdpa"]  # the same on any machine


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
        labels = task_of(task).labels(scenes.LABELS)
        torch.manual_seed(0)
        model = EomtForUniversalSegmentation(EomtConfig(**sizes, id2label=dict(enumerate(labels.names))))
        with torch.no_grad():
            model.class_predictor.weight.mul_(6)
        model.save_pretrained(folder / task)
        task_of(task).processor(64, labels).save_pretrained(folder / task)
    return folder


BRAVO_FILES = {  # subset: a folder, and the ends of image, label and mask of invalid pixels
    "ACDCfog": ("bravo_ACDC/fog/test/GOPR0475", "_rgb_anon", "_gt_labelTrainIds", "_gt_invIds"),
    "ACDCrain": ("bravo_ACDC/rain/test/GOPR0475", "_rgb_anon", "_gt_labelTrainIds", "_gt_invIds"),
    "ACDCnight": ("bravo_ACDC/night/test/GOPR0475", "_rgb_anon", "_gt_labelTrainIds", "_gt_invIds"),
    "ACDCsnow": ("bravo_ACDC/snow/test/GOPR0475", "_rgb_anon", "_gt_labelTrainIds", "_gt_invIds"),
    "synrain": ("bravo_synrain/lindau", "_leftImg8bit", "_gt_labelTrainIds", "_gt_invIds"),
    "synflare": ("bravo_synflare/lindau", "_leftImg8bit", "_gt_labelTrainIds", "_gt_invIds"),
    "outofcontext": ("bravo_outofcontext/munster", "_leftImg8bit", "_gt_labelTrainIds", "_gt_invIds"),
    "synobjs": ("bravo_synobjs/armchair", "", "_gt", "_mask"),
    "SMIYC": ("bravo_SMIYC/RoadAnomaly21/images", "", "_labels_semantic_fake", "_labels_semantic"),
}


@pytest.fixture
def bravo_tree(tmp_path) -> Callable[..., tuple[Path, Path]]:
    """`bravo_tree(subsets, name, label, invalid, classes, confidence)`: writes an image of BRAVO, its maps as rows of numbers, into
    each of the subsets; gives the folders of truth and of predictions."""

    def draw(subsets, name, label, invalid, classes, confidence) -> tuple[Path, Path]:
        truth, predictions = tmp_path / "truth", tmp_path / "predictions"
        for subset in subsets:
            folder, image_end, label_end, invalid_end = BRAVO_FILES[subset]
            for root, end, values, dtype in (
                (truth, label_end, label, np.uint8),
                (truth, invalid_end, invalid, np.uint8),
                (predictions, f"{image_end}_pred", classes, np.uint8),
                (predictions, f"{image_end}_conf", confidence, np.uint16),
            ):
                (root / folder).mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.array(values, dtype)).save(root / folder / f"{name}{end}.png")
        return truth, predictions

    return draw


def make_sample(id_map: np.ndarray, table: dict[int, int], crowd: tuple[int, ...] = (), image_id: str = "one") -> Sample:
    """A sample of ids and {id: class}, its image blank."""
    return Sample(
        image_id=image_id,
        image=torch.zeros(3, *np.shape(id_map)[-2:], dtype=torch.uint8),
        id_map=torch.as_tensor(id_map, dtype=torch.int32),
        segment_ids=torch.tensor(list(table), dtype=torch.int64),
        class_labels=torch.tensor(list(table.values()), dtype=torch.int64),
        is_crowd=torch.tensor([i in crowd for i in table], dtype=torch.bool),
    )


@pytest.fixture
def sample() -> Callable[..., Sample]:
    return make_sample


@pytest.fixture(scope="session")
def made_samples() -> list[Sample]:
    """24 images of 5 classes with blobs of all of COCO's sizes, crowd, void and large ids; two have no segments."""
    random, samples = np.random.default_rng(0), []
    for number in range(24):
        height, width = random.integers(150, 260, 2)
        noise = ndimage.gaussian_filter(random.standard_normal((height, width)), random.choice([5, 12, 40]))
        ids, count = ndimage.label(np.abs(noise) > 0.3 * np.abs(noise).max())
        count = 0 if number in (7, 19) else count
        ids = np.where(ids <= count, ids, 0) * 700  # beyond 8 bits
        table = {700 * i: int(random.integers(5)) for i in range(1, count + 1)}
        crowds = {label: i for i, label in table.items() if random.random() < 0.2}  # COCO has one of a class in an image
        samples.append(make_sample(ids, table, tuple(crowds.values()), f"made {number}"))
    return samples
