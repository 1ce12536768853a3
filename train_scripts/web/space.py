"""A folder that is a Space of the Hub: the demo app, this package and a checkpoint."""

import shutil
import sys
from collections.abc import Sequence
from importlib.metadata import requires, version
from importlib.util import find_spec
from pathlib import Path

from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

from eomt.adapter_folder import is_adapter_folder
from eomt.exported import refuse_exported
from eomt.train_scripts.evaluation.loading import load_config, stored_model

PACKAGES = ("eomt", "eomt.configuration", "eomt.image_processing", "eomt.model_cards", "eomt.train_scripts")
DISTRIBUTION = "eomt-transformers"
MODEL_FILES = ("config.json", "preprocessor_config.json", "model*.safetensors", SAFE_WEIGHTS_INDEX_NAME)
APP = '''"""The demo app of an EoMT checkpoint. `eomt serve --space` has written this folder."""

from pathlib import Path

from eomt.train_scripts.web.app import build_app, launch

HERE = Path(__file__).parent
app = build_app({checkpoint}, sorted(HERE.glob("examples/*")), task={task!r})

if __name__ == "__main__":
    launch(app)
'''
README = """---
title: {title}
emoji: 🧩
colorFrom: indigo
colorTo: green
sdk: gradio
sdk_version: {gradio}
python_version: "{python}"
app_file: app.py
pinned: false
short_description: Panoptic, instance and semantic segmentation
{models}---

Segments pictures with an [Encoder-only Mask Transformer](https://arxiv.org/abs/2503.19108). `eomt/` is the package, Apache-2.0.
"""


def write_space(checkpoint: str | Path, folder: str | Path, examples: Sequence[str | Path] = (), task: str | None = None) -> Path:
    """Writes `app.py`, `requirements.txt`, `README.md` with a Space's metadata, this package, examples and a local checkpoint.

    A checkpoint of the Hub is named in the app, and loaded where it runs.

    Args:
        checkpoint: a folder or a Hub name.
        folder: to be written; new or empty.
        examples: pictures that the app offers.
        task: the one that is chosen at first; by default what the checkpoint's classes suggest.

    Returns:
        The path of `app.py`.

    Raises:
        ValueError: the folder has files, or a local checkpoint is an export, an adapter, or has no weights as safetensors.
        OSError: there is no such checkpoint.
    """
    folder, source = Path(folder), stored_model(checkpoint)
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"space={str(folder)!r} has files; give a new folder, or remove it")
    load_config(source)  # raises where there is none
    is_local = Path(source).is_dir()
    if is_local:
        _check_weights(source)
    folder.mkdir(parents=True, exist_ok=True)
    if is_local:
        _copy_model(Path(source), folder / "model")
    for package in PACKAGES:
        root = Path(find_spec(package).origin).parent
        unwanted = shutil.ignore_patterns("__pycache__")
        shutil.copytree(root, folder.joinpath(*package.split(".")), ignore=unwanted, dirs_exist_ok=True)
    (folder / "examples").mkdir()
    for path in map(Path, examples):
        shutil.copyfile(path, folder / "examples" / path.name)
    app = APP.format(checkpoint='HERE / "model"' if is_local else repr(source), task=task)
    (folder / "app.py").write_text(app, encoding="utf-8")
    (folder / "requirements.txt").write_text(requirements(), encoding="utf-8")
    (folder / "README.md").write_text(_readme(source, is_local), encoding="utf-8")
    return folder / "app.py"


def _check_weights(source: str) -> None:
    """Raises ValueError unless a folder has what [`_copy_model`] makes a whole model of."""
    refuse_exported(source)
    if any((Path(source) / name).is_file() for name in (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME)):
        return
    if is_adapter_folder(source):
        remedy = "it is an adapter: give the run's own folder, which has the merged model"
    else:
        remedy = "load it by from_pretrained, store it by save_pretrained in a new folder, and give that"
    raise ValueError(f"checkpoint={source!r} has no {SAFE_WEIGHTS_NAME}, which a Space needs; {remedy}")


def _copy_model(source: Path, target: Path) -> None:
    target.mkdir()
    for pattern in MODEL_FILES:
        for path in source.glob(pattern):
            shutil.copyfile(path, target / path.name)


def requirements() -> str:
    """What this package needs, a line each, with PyTorch's builds for the CPU. A Space has gradio."""
    needed = [line for line in requires(DISTRIBUTION) if "extra ==" not in line]
    return "\n".join(["--extra-index-url https://download.pytorch.org/whl/cpu", *needed]) + "\n"


def _readme(source: str, is_local: bool) -> str:
    return README.format(
        title="EoMT" if is_local else f"EoMT: {source.split('/')[-1]}"[:60],
        gradio=version("gradio"),
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        models="" if is_local else f"models:\n  - {source}\n",
    )
