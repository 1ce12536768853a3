"""The losses of a short training are those that were written down: a change of the numbers is noticed, and has to be meant.

Data, order, augmentation, weights, masking, matching, losses, schedules and optimiser all have a part in them. Relative to the
losses, AVX512, AVX2 and neither of them, with one thread and with two, differ by 2e-7. The smallest mistake tried, training without
weight decay, makes 4e-4.
"""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eomt.train_scripts import train
from eomt.train_scripts.data.dataset_folder import Labels, write_labels
from eomt.train_scripts.data.shard_writer import write_split

LOSSES = [29.08771, 28.60313, 26.78834, 25.45209, 24.52219, 23.86417]
TOLERANCE = 5e-5  # relative

SIDE = 64  # pixels
COLORS = np.array([[0, 0, 0], [90, 60, 30], [60, 120, 200], [220, 40, 60], [40, 200, 80]])  # of the ids
CONFIG = {
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_blocks": 2,
    "num_queries": 8,
    "patch_size": 8,
    "num_register_tokens": 0,
    "train_num_points": 128,
}
WORDS = ["--eval_split", "", "--image_size", str(SIDE), "--shuffle_buffer", "8", "--min_scale", "0.5", "--use_cpu", "true"]
WORDS += ["--max_steps", "6", "--total_batch_size", "4", "--per_device_train_batch_size", "2", "--learning_rate", "3e-3"]
WORDS += ["--max_grad_norm", "1", "--head_warmup", "0.1", "--encoder_warmup", "0.1", "--logging_steps", "1"]
WORDS += ["--save_strategy", "no", "--disable_tqdm", "true", "--bf16", "false", "--attn_implementation", "sdpa"]


def encoded(pixels: np.ndarray) -> dict:
    stream = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(stream, "PNG")  # without loss
    return {"bytes": stream.getvalue(), "path": None}


def make_row(index: int, shift: int) -> dict:
    """A disc and a box over ground and sky, by formulas alone, since streams of random numbers may change between versions."""
    y, x = np.mgrid[:SIDE, :SIDE]
    ids = np.where(y < 20 + 2 * index, 2, 1)
    ids[(y - 24 - index * 7 % 20) ** 2 + (x - 16 - index * 11 % 32) ** 2 < (8 + index % 4) ** 2] = 3
    ids[(abs(y - 50 + 3 * index % 17) < 6) & (abs(x - 48 + 5 * index % 40) < 7)] = 4
    shading = (3 * x + 5 * y + 13 * index) % 40 - 20
    segments = [{"id": i, "category": category, "iscrowd": False} for i, category in ((1, 2), (2, 3), (3, 0), (4, 1))]
    image = encoded((COLORS[ids] + shading[..., None]).clip(0, 255))
    return {"image_id": f"{index}", "image": image, "id_map": encoded(np.roll(ids, shift, 1)), "segments": segments, "rles": None}


def losses_of_a_run(folder: Path, *words: str, shift: int = 0, **config) -> list[float]:
    """Losses of six steps, the images' masks moved right by `shift` pixels."""
    write_split(folder / "data", "train", (make_row(index, shift) for index in range(8)), 8)
    write_labels(folder / "data", Labels(["disc", "box", "ground", "sky"], [True, True, False, False]))
    where = ["--data", str(folder / "data"), "--output_dir", str(folder / "out"), "--config", json.dumps({**CONFIG, **config})]
    trainer = train.run([*WORDS, *where, *words])
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def test_the_losses_are_those_written_down(tmp_path):
    assert losses_of_a_run(tmp_path) == pytest.approx(LOSSES, rel=TOLERANCE)


@pytest.mark.parametrize(
    "changed",
    [
        {"words": ["--learning_rate", "3.1e-3"]},
        {"words": ["--weight_decay", "0"]},
        {"words": ["--masking", "always"]},
        {"dice_weight": 0.0},
        {"shift": 1},
    ],
    ids=str,
)
def test_small_mistakes_are_larger_than_the_tolerance(tmp_path, changed):
    """Otherwise the test above would prove little."""
    words, rest = changed.get("words", []), {name: value for name, value in changed.items() if name != "words"}
    assert losses_of_a_run(tmp_path, *words, **rest) != pytest.approx(LOSSES, rel=2 * TOLERANCE)
