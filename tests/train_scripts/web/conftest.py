"""A tiny checkpoint with lively outputs, drawn pictures, the page's scripts in node, and headless Chromium."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from eomt import EomtConfig, EomtForUniversalSegmentation, EomtImageProcessor
from eomt.train_scripts.data import scenes
from eomt.train_scripts.web.page import PAGE_FILES

NAMES = ["bee", "fish", "frog", "brick", "grass"]
STUFF = [3, 4]
SIZES = {"square.png": (112, 112), "wide.png": (75, 112), "tall.jpg": (112, 61), "small.png": (40, 50)}


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    """A random model of 64 pixels and 5 classes, whose queries are sure of their classes and have masks of many shapes."""
    torch.manual_seed(3)
    names = dict(enumerate(NAMES))
    sizes = dict(hidden_size=32, num_hidden_layers=3, num_attention_heads=2, num_blocks=1, num_queries=12, patch_size=8)
    model = EomtForUniversalSegmentation(EomtConfig(**sizes, image_size=64, id2label=names)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
        model.class_predictor.weight.mul_(6)
        model.class_predictor.bias[-1] -= 8  # hardly a query is without object
    model.set_attn_mask_probs([0.0])
    folder = tmp_path_factory.mktemp("web") / "checkpoint"
    model.save_pretrained(folder)
    EomtImageProcessor(size={"shortest_edge": 64, "longest_edge": 64}, stuff_classes=STUFF).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> Path:
    """A folder of parts of drawn scenes, of `SIZES`."""
    folder = tmp_path_factory.mktemp("pictures")
    for number, (name, (height, width)) in enumerate(SIZES.items()):
        image, *_ = scenes.make_scene(np.random.default_rng(number), held_out=True)
        Image.fromarray(image[:height, :width]).save(folder / name)
    return folder


@pytest.fixture(scope="session")
def node(tmp_path_factory) -> Callable[[str, Any], Any]:
    """`node(code, given)`: what a function body returns in node, with `given` and the page's `segmentation` and `drawing`."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed: the page's scripts are not tested")
    folder = tmp_path_factory.mktemp("node")
    for name in ("segmentation", "drawing"):
        shutil.copyfile(PAGE_FILES / f"{name}.js", folder / f"{name}.mjs")  # node takes .js for another kind of script

    def run(code: str, given: Any) -> Any:
        (folder / "given.json").write_text(json.dumps(given))
        (folder / "run.mjs").write_text(
            'import fs from "fs"; import * as segmentation from "./segmentation.mjs"; import * as drawing from "./drawing.mjs";'
            f'const given = JSON.parse(fs.readFileSync("given.json")); const run = () => {{ {code} }};'
            "console.log(JSON.stringify(run(), (_, value) => ArrayBuffer.isView(value) ? Array.from(value) : value));"
        )
        shown = subprocess.run(["node", "run.mjs"], cwd=folder, capture_output=True, text=True)
        assert shown.returncode == 0, shown.stderr
        return json.loads(shown.stdout)

    return run


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium, or a skipped test that says what is missing."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: nothing is tested in a browser")
    path = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
    if path is None:
        pytest.skip("chromium is not installed: nothing is tested in a browser")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()
