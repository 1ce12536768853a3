"""Pushing a run, a model and a processor to a Hub on this machine, and loading them back by name."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from PIL import Image

from eomt import EomtForUniversalSegmentation
from eomt.train_scripts import train

RUN = ["--image_size", "64", "--max_steps", "2", "--save_strategy", "steps", "--save_steps", "1", "--eval_on_start", "true"]
RUN += ["--report_to", "tensorboard", "--license", "apache-2.0", "--overlays", "1", "--push_to_hub"]

# What the card says, run word for word; then a push of model and processor on their own.
BACK = """
import re, sys
import torch
from huggingface_hub import hf_hub_download
blocks = re.findall("```python\\n(.*?)```", open(hf_hub_download("org/tiny", "README.md")).read(), re.S)
assert len(blocks) == 2
exec(blocks[0])
assert "eomt" not in sys.modules and type(model).__module__ == "transformers.models.eomt.modeling_eomt"
assert result["segmentation"].shape == (image.height, image.width)
stock, pixels = outputs, inputs["pixel_values"]
exec(blocks[1])
assert type(model).__module__ == "eomt.modeling_eomt" and type(processor).__module__.startswith("eomt.")
assert torch.equal(processor(images=image, return_tensors="pt")["pixel_values"], pixels)
with torch.inference_mode():
    ours = model(pixel_values=pixels)
assert torch.equal(stock.masks_queries_logits, ours.masks_queries_logits)
assert torch.equal(stock.class_queries_logits, ours.class_queries_logits)
assert torch.equal(model(pixel_values=pixels).masks_queries_logits, eomt.EomtForUniversalSegmentation.from_pretrained(
    sys.argv[1])(pixel_values=pixels).masks_queries_logits)

model.push_to_hub("org/second", token=sys.argv[2])
processor.push_to_hub("org/second", token=sys.argv[2])
again = AutoModel.from_pretrained("org/second")
assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True))
assert AutoImageProcessor.from_pretrained("org/second").to_dict() == processor.to_dict()
assert again.config.id2label == model.config.id2label and again.config.id2label[0] == "bee"
"""


def script(hub, words, out, home):
    words = [*words, *RUN, "--output_dir", str(out), "--hub_model_id", "org/" + out.name, "--hub_token", hub.token]
    command = [sys.executable, str(Path(train.__file__)), *words]
    return subprocess.run(command, capture_output=True, text=True, env=hub.environment(home), timeout=300)


@pytest.fixture(scope="module")
def pushed(local_hub, tiny_words, tmp_path_factory):
    """A run that was pushed: its output folder, and what the script printed."""
    out = tmp_path_factory.mktemp("run") / "tiny"
    done = script(local_hub, tiny_words, out, out.parent / "home")
    assert done.returncode == 0, done.stderr[-3000:]
    return out, done.stdout + done.stderr


def test_the_whole_run_is_pushed(local_hub, pushed):
    out, _ = pushed
    files = local_hub.repos["org/tiny"]
    assert {
        "model.safetensors",
        "config.json",
        "preprocessor_config.json",
        "README.md",
        "curves.png",
        "picture.png",
    } <= files.keys()
    assert all((out / name).read_bytes() == content for name, content in files.items() if not name.startswith("checkpoint"))
    assert json.loads(files["config.json"])["id2label"]["0"] == "bee"


def test_the_pushed_card_has_the_scores_and_says_how_to_load_the_model(local_hub, pushed):
    card = ModelCard(local_hub.repos["org/tiny"]["README.md"].decode())
    assert card.data.license == "apache-2.0" and card.data.pipeline_tag == "image-segmentation"
    scores = json.loads((pushed[0] / "eval_results.json").read_text())
    assert {f"eval_{result.metric_type}": result.metric_value for result in card.data.eval_results}.items() <= {
        name: round(value, 2) for name, value in scores.items()
    }.items()
    assert "![Images, truths and predictions](picture.png)" in card.text
    assert 'from_pretrained("org/tiny")' in card.text and "AutoModel` needs the import" in card.text


def test_the_token_is_in_no_file_and_no_output(local_hub, pushed):
    out, printed = pushed
    token = local_hub.token
    assert token not in printed
    local = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert {"training_args.bin", "checkpoint-2/training_args.bin"} <= local.keys() and any("tfevents" in name for name in local)
    for name, content in [*local.items(), *local_hub.repos["org/tiny"].items()]:
        assert token.encode() not in content, name


def test_stock_and_this_package_load_it_by_name_and_compute_the_same(local_hub, pushed, tmp_path):
    Image.effect_noise((90, 60), 80).convert("RGB").save(tmp_path / "photo.jpg")
    command = [sys.executable, "-c", BACK, str(pushed[0]), local_hub.token]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env=local_hub.environment(tmp_path / "home"), timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert local_hub.token not in done.stdout + done.stderr
    assert not [name for name, content in local_hub.repos["org/second"].items() if local_hub.token.encode() in content]


def test_a_checkpoint_is_whole_before_it_is_pushed(local_hub, tiny_words, tmp_path):
    words = [*tiny_words, "--hub_strategy", "all_checkpoints", "--hub_always_push", "true", "--ema_decay", "0.9"]
    words += ["--save_total_limit", "0"]
    done = script(local_hub, words, tmp_path / "strategy", tmp_path / "home")
    assert done.returncode == 0, done.stderr[-3000:]
    files = local_hub.repos["org/strategy"]
    for step in (1, 2):
        sizes = json.loads(files[f"checkpoint-{step}/whole.json"])
        assert {"place_in_data_0.json", "training_weights.safetensors", "optimizer.pt"} <= sizes.keys()
        assert {name: len(files[f"checkpoint-{step}/{name}"]) for name in sizes} == sizes


@pytest.mark.parametrize(
    "request_path, status", [("/api/models/org/refused/preupload", 403), ("/api/models/org/broken/commit", 500)]
)
def test_a_push_that_fails_says_so_and_leaves_the_run_whole(local_hub, tiny_words, tmp_path, request_path, status):
    local_hub.failures[request_path] = status
    out = tmp_path / request_path.split("/")[4]
    done = script(local_hub, tiny_words, out, tmp_path / "home")
    assert done.returncode == 1 and local_hub.token not in done.stdout + done.stderr
    assert str(status) in done.stderr and f"{out.name} was not pushed" in done.stderr and "hf upload" in done.stderr
    assert {"README.md", "curves.png", "eval_results.json", "train_results.json", "trainer_state.json"} <= set(
        path.name for path in out.iterdir()
    )
    assert EomtForUniversalSegmentation.from_pretrained(out).config.id2label[0] == "bee"
    assert not local_hub.repos[f"org/{out.name}"]
