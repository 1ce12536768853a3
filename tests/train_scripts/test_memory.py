"""Peak memory of preparing, training data and predicting doesn't grow with the dataset: ten times the images, the same memory."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from eomt.image_processing.augmentation import training_augmentation
from eomt.train_scripts.data.formats.source import Options
from eomt.train_scripts.data.formats.split import Split
from eomt.train_scripts.data.preparation import prepare
from eomt.train_scripts.data.training_stream import training_stream
from eomt.train_scripts.predict import predict

SIDE = 96  # of photos of noise, which take 27 KB each
FEW = 800  # enough for row groups and buffers of nearly full size
ALLOWED = 40  # MB; the photos that are there more take 200


@pytest.fixture(scope="module")
def photos(tmp_path_factory, checkpoints) -> Path:
    """Folders `few` and `many` with photos and masks, links to one each, and a checkpoint."""
    root = tmp_path_factory.mktemp("memory")
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)).save(root / "photo.png")
    Image.fromarray(np.tile(np.array([0, 1], np.uint8), (SIDE, SIDE // 2))).save(root / "mask.png")
    for name, count in (("few", FEW), ("many", 10 * FEW)):
        for kind in ("photo", "mask"):
            (root / name / f"{kind}s").mkdir(parents=True)
            for number in range(count):
                os.link(root / f"{kind}.png", root / name / f"{kind}s" / f"{number:04d}.png")
    (root / "model").symlink_to(checkpoints / "panoptic")
    return root


def _prepare(folder: Path) -> None:
    split = Split("train", "masks", folder / "photos", folder / "masks")
    prepare([split], folder / "data", Options(kind="semantic", classes=["a", "b"], void=[255]), rows_a_shard=200)


def _stream(folder: Path) -> None:
    stream = training_stream(folder / "data", "train", training_augmentation(64), 0, shuffle_buffer=50)
    for sample in stream:
        if sample["epoch"] == 1:
            break


def _predict(folder: Path) -> None:
    predict(str(folder.parent / "model"), str(folder / "data"), "panoptic", folder / "predictions", split="train")


JOBS = {"prepare": _prepare, "stream": _stream, "predict": _predict}


@pytest.mark.slow
@pytest.mark.parametrize("job", JOBS)
def test_ten_times_the_images_take_the_same_memory(photos, job):
    peaks = {}
    for name in ("few", "many"):
        if job != "prepare" and not (photos / name / "data").exists():
            _prepare(photos / name)
        command = [sys.executable, __file__, job, str(photos / name)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
        peaks[name] = float(done.stdout.split()[-1])
    assert peaks["many"] < peaks["few"] + ALLOWED, peaks


if __name__ == "__main__":
    torch.set_num_threads(1)
    JOBS[sys.argv[1]](Path(sys.argv[2]))
    status = Path("/proc/self/status").read_text()  # getrusage would count what this process was before it became this one
    print(int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024)
