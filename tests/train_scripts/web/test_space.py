"""The folder of a Space: what is in it, and that its app starts from it alone."""

import os
import shutil
import subprocess
import sys

import pytest
import yaml

from eomt.train_scripts.web.space import requirements, write_space

GRADIO = "gradio is not installed (pip install '.[serve]'): Spaces are not tested"


@pytest.fixture(scope="module")
def space(checkpoint, pictures, tmp_path_factory):
    pytest.importorskip("gradio", reason=GRADIO)
    folder = tmp_path_factory.mktemp("space") / "space"
    assert write_space(checkpoint, folder, [pictures / "wide.png"]) == folder / "app.py"
    return folder


def test_it_has_the_app_the_package_and_the_model(space):
    assert {path.name for path in space.iterdir()} == {"app.py", "requirements.txt", "README.md", "eomt", "model", "examples"}
    assert {path.name for path in (space / "model").iterdir()} == {"config.json", "model.safetensors", "preprocessor_config.json"}
    assert (space / "eomt/train_scripts/web/app.py").is_file() and (space / "eomt/configuration").is_dir()
    assert not list(space.rglob("__pycache__"))
    _, head, _ = (space / "README.md").read_text().split("---\n", 2)
    metadata = yaml.safe_load(head)
    assert metadata["sdk"] == "gradio" and metadata["app_file"] == "app.py" and metadata["sdk_version"].count(".") == 2
    assert len(metadata["short_description"]) <= 60  # the Hub takes no more


def test_it_needs_what_the_package_needs():
    lines = requirements().splitlines()
    assert any(line.startswith("torch>=") for line in lines) and any(line.startswith("transformers") for line in lines)
    assert not any("extra" in line and "index" not in line or line.startswith("pytest") for line in lines)


def test_a_folder_with_files_is_refused(checkpoint, space):
    with pytest.raises(ValueError, match="has files; give a new folder"):
        write_space(checkpoint, space)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["adapter_config.json", "adapter_model.safetensors"], "no model.safetensors.* give the run's own folder"),
        (["pytorch_model.bin"], "no model.safetensors.* store it by save_pretrained"),
        (["export.json", "model.onnx"], "is an export"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_folder_without_weights_that_a_space_gets_is_refused_before_anything_is_written(checkpoint, tmp_path, files, message):
    source = tmp_path / "source"
    source.mkdir()
    for name in files:
        (source / name).touch()
    shutil.copyfile(checkpoint / "config.json", source / "config.json")
    with pytest.raises(ValueError, match=message):
        write_space(source, tmp_path / "space")
    assert not (tmp_path / "space").exists()


@pytest.mark.slow
def test_the_app_is_built_from_the_folder_alone(space, tmp_path):
    """The package comes from the folder, wherever the process was started."""
    code = f"import sys; sys.path.insert(0, {str(space)!r}); import app, eomt; print(eomt.__file__, type(app.app).__name__)"
    environment = os.environ | {"GRADIO_ANALYTICS_ENABLED": "False"}
    shown = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.split() == [str(space / "eomt/__init__.py"), "Blocks"]
