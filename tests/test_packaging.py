"""The wheel: built, installed elsewhere, and imported from several folders."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CODE = """
from pathlib import Path
import eomt, eomt.train_scripts.train
from eomt.model_cards.rendering import TEMPLATE
from eomt.train_scripts.training.recipe import recipe_words
from eomt.train_scripts.data.scenes import sprites
from eomt.train_scripts.web.page import PAGE_FILES, SCRIPTS
folder = Path(eomt.__file__).parent
assert TEMPLATE.is_file() and TEMPLATE.is_relative_to(folder)
assert recipe_words("demo") and len(sprites()) == 8
assert all((PAGE_FILES / name).is_file() for name in SCRIPTS)
print(folder)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    unwanted = shutil.ignore_patterns(".*", "build", "dist", "outputs", "*.egg-info", "__pycache__")
    source = shutil.copytree(ROOT, folder / "source", ignore=unwanted)  # building leaves files behind
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)]
    subprocess.run(build, check=True, capture_output=True, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    target = folder / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    return target


def test_the_wheel_holds_one_package_and_its_data(site):
    names = {path.name for path in site.iterdir() if not path.name.endswith(".dist-info")} - {"bin"}
    assert names == {"eomt"}
    assert (site / "eomt/train_scripts/recipes/demo.yaml").is_file()
    assert list((site / "eomt/train_scripts/sprites").glob("*.png"))


@pytest.mark.parametrize("place", ["elsewhere", "root", "tests"])
def test_it_imports_from_any_folder(site, place, tmp_path):
    cwd = {"elsewhere": tmp_path, "root": ROOT, "tests": ROOT / "tests"}[place]
    env = {**os.environ, "PYTHONPATH": str(site)}
    found = subprocess.run([sys.executable, "-c", CODE], cwd=cwd, env=env, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert Path(found.stdout.strip()) == site / "eomt"


def test_the_script_runs_as_a_file_and_as_a_module(tmp_path):
    for start in ([str(ROOT / "train_scripts/train.py")], ["-m", "eomt.train_scripts.train"]):
        shown = subprocess.run([sys.executable, *start, "--help_all"], cwd=tmp_path, capture_output=True, text=True)
        assert "--layer_decay" in shown.stdout, shown.stderr


def test_the_console_script_ends_well(tmp_path):
    code = "import sys; from eomt.train_scripts.train import main; sys.exit(main())"
    shown = subprocess.run([sys.executable, "-c", code, "--help_all"], cwd=tmp_path, capture_output=True, text=True)
    assert shown.returncode == 0 and "--layer_decay" in shown.stdout


def test_no_file_shadows_a_library_and_none_imports_transformers_own_model():
    folders = [ROOT / name for name in ("modeling_eomt", "configuration", "image_processing", "train_scripts")]
    files = [path for folder in folders for path in folder.rglob("*.py")]
    assert not {"evaluate.py", "datasets.py"} & {path.name for path in files}
    assert not [path for path in files if "transformers.models.eomt" in path.read_text()]
