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
from eomt.train_scripts.recipe import recipe_words
from eomt.train_scripts.scenes import sprites
folder = Path(eomt.__file__).parent
assert recipe_words("demo") and len(sprites()) == 8
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
        shown = subprocess.run([sys.executable, *start, "--help"], cwd=tmp_path, capture_output=True, text=True)
        assert "--layer_decay" in shown.stdout, shown.stderr
