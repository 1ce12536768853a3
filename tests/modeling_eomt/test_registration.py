"""By name: Auto classes and the pipeline give our classes, and a process without this package runs the same files."""

import os
import subprocess
import sys

import pytest
import torch
from PIL import Image
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageSegmentation,
    AutoModelForUniversalSegmentation,
    pipeline,
)

import eomt

STOCK = """
import sys, torch
from PIL import Image
from transformers import pipeline
p = pipeline("image-segmentation", model=sys.argv[1])
assert type(p.model).__module__.startswith("transformers.models.eomt") and "eomt" not in sys.modules
p(Image.new("RGB", (90, 60)))
p.model.eval()
torch.manual_seed(0)
torch.save(p.model(pixel_values=torch.randn(1, 3, 64, 64)).masks_queries_logits, sys.argv[2])
"""


CLASSES = {
    "eomt": (eomt.EomtConfig, eomt.EomtForUniversalSegmentation),
    "eomt_dinov3": (eomt.EomtDinov3Config, eomt.EomtDinov3ForUniversalSegmentation),
    "eomt_eva02": (eomt.EomtEva02Config, eomt.EomtEva02ForUniversalSegmentation),
}


@pytest.fixture
def folder(tiny_model, tmp_path):
    tiny_model().save_pretrained(tmp_path)
    size = {"shortest_edge": 64, "longest_edge": 64}
    eomt.EomtImageProcessor(size=size, stuff_classes=[1, 2]).save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.every_encoder
def test_auto_classes_give_ours(folder, model_type):
    config_class, model_class = CLASSES[model_type]
    assert type(AutoConfig.from_pretrained(folder)) is config_class
    for auto_class in (AutoModel, AutoModelForUniversalSegmentation, AutoModelForImageSegmentation):
        assert type(auto_class.from_pretrained(folder)) is model_class
    assert type(AutoImageProcessor.from_pretrained(folder)) is eomt.EomtImageProcessor
    assert type(AutoImageProcessor.from_pretrained(folder, backend="pil")) is eomt.EomtImageProcessorPil


@pytest.mark.every_encoder
def test_the_pipeline_gives_ours_on_an_image_of_any_proportions(folder, model_type):
    segmenter = pipeline("image-segmentation", model=str(folder))
    assert type(segmenter.model) is CLASSES[model_type][1]
    assert segmenter.image_processor.stuff_classes == [1, 2]
    for segment in segmenter(Image.new("RGB", (150, 90)), threshold=0.0):
        assert segment["mask"].size == (150, 90)


@pytest.mark.parametrize("model_type", ["eomt", "eomt_dinov3"])
def test_a_process_without_this_package_runs_the_same_files_alike(folder, tmp_path):
    command = [sys.executable, "-c", STOCK, str(folder), str(tmp_path / "logits.pt")]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    torch.manual_seed(0)
    with torch.no_grad():
        ours = AutoModel.from_pretrained(folder)(pixel_values=torch.randn(1, 3, 64, 64)).masks_queries_logits
    assert torch.allclose(torch.load(tmp_path / "logits.pt"), ours, atol=1e-5)


@pytest.mark.parametrize("model_type", ["eomt_eva02"])
def test_a_process_without_this_package_refuses_what_it_cannot_represent(folder, tmp_path):
    command = [sys.executable, "-c", STOCK, str(folder), str(tmp_path / "logits.pt")]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, cwd=tmp_path)
    assert done.returncode and "eomt_eva02" in done.stderr
