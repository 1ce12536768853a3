"""Puts the site's own code on the path, and makes folders in which the pages' commands run."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from eomt import EomtConfig, EomtForUniversalSegmentation, EomtImageProcessor
from eomt.train_scripts.data.scenes import write_folders

ROOT = Path(__file__).parents[2]
VIT = "vit_small_patch14_reg4_dinov2"  # the README trains from it

sys.path[:0] = [str(ROOT / "docs/generate"), str(Path(__file__).parent)]


@pytest.fixture
def reader_folder(tmp_path: Path) -> Callable[[str], Path]:
    """`reader_folder(name)`: a checkout as a reader has it after `make demo`, with photos and masks in `street`.

    A ViT is in the Hub's cache. The demo's model is tiny and random, and so are the ViT's weights.
    """

    def build(name: str) -> Path:
        folder = tmp_path / name / "checkout"
        folder.mkdir(parents=True)
        for path in ROOT.iterdir():
            if path.name in ("train_scripts", "benchmarks", "configuration", "image_processing", "model_cards"):
                (folder / path.name).symlink_to(path)
        write_folders(folder / "street", count=10)
        (folder / "street/images").rename(folder / "street/photos")
        _store_demo(folder / "outputs/demo", next((folder / "street/photos").iterdir()))
        _store_vit(folder.parent / "hub")
        return folder

    return build


def _store_demo(folder: Path, photo: Path) -> None:
    config = EomtConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, num_blocks=1, num_queries=5, image_size=112, num_labels=3
    )
    EomtForUniversalSegmentation(config).save_pretrained(folder / "model")
    EomtImageProcessor(size={"shortest_edge": 112, "longest_edge": 112}).save_pretrained(folder / "model")
    Image.open(photo).save(folder / "scene.png")


def _store_vit(cache: Path) -> None:
    """The files that a download of timm's weights leaves."""
    repository = timm.get_pretrained_cfg(VIT).hf_hub_id.replace("/", "--")
    snapshot = cache / f"models--{repository}" / "snapshots" / "0"
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs/main").write_text("0")
    torch.manual_seed(0)
    save_file(timm.create_model(VIT, num_classes=0).state_dict(), snapshot / "model.safetensors")
