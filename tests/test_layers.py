"""No folder imports upward, and scripts are thin: read from the imports themselves, those inside functions too."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# from the lowest layer up; folders of one layer don't import each other, but for the pairs in `ALSO`
LAYERS = (
    ("eomt.configuration",),
    ("eomt.image_processing", "eomt"),  # `eomt` itself is the model
    ("eomt.train_scripts.data", "eomt.model_cards"),
    ("eomt.train_scripts.metrics",),
    ("eomt.train_scripts.evaluation",),
    ("eomt.train_scripts.training",),
    ("eomt.train_scripts",),  # the scripts
)
ALSO = {("eomt", "eomt.image_processing")}  # the package registers the processors beside the model
MOST_LINES = 60  # of a script


def folder_of(module: str) -> str:
    """The longest name of a folder in `LAYERS` that a module lies in."""
    folders = [folder for layer in LAYERS for folder in layer]
    return max((folder for folder in folders if f"{module}.".startswith(f"{folder}.")), key=len)


def level_of(folder: str) -> int:
    return next(level for level, layer in enumerate(LAYERS) if folder in layer)


def imported(source: str) -> Iterator[str]:
    """Every module of this package that a source text imports, anywhere in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module == "eomt.train_scripts")


def upward(module: str, source: str) -> list[str]:
    """What a module imports from a higher layer, or from beside it."""
    folder = folder_of(module)
    wrong = []
    for name in imported(source):
        if name.split(".")[0] != "eomt":
            continue
        other = folder_of(name)
        beside = other != folder and level_of(other) == level_of(folder) and (folder, other) not in ALSO
        if level_of(other) > level_of(folder) or beside:
            wrong.append(f"{module} imports {name}")
    return wrong


def modules() -> Iterator[tuple[str, Path]]:
    for folder, package in (
        ("modeling_eomt", "eomt"),
        *((name, f"eomt.{name}") for name in ("configuration", "image_processing", "model_cards", "train_scripts")),
    ):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            yield ".".join([package, *(part for part in parts if part != "__init__")]), path


def test_no_folder_imports_upward():
    assert not [wrong for module, path in modules() for wrong in upward(module, path.read_text())]


@pytest.mark.parametrize(
    "module, line",
    [
        ("eomt.train_scripts.data.x", "from eomt.train_scripts.metrics.overlaps import count_overlaps"),
        ("eomt.train_scripts.data.x", "def f():\n    import eomt.train_scripts.evaluation.tasks"),
        ("eomt.train_scripts.training.x", "from eomt.train_scripts import train"),
        ("eomt.image_processing.x", "from eomt.mask_classifier import MaskClassifier"),
        ("eomt.criterion.x", "from eomt.train_scripts.data.samples import Sample"),
    ],
)
def test_an_import_upward_is_seen(module, line):
    assert len(upward(module, line)) >= 1


def test_imports_downward_are_fine():
    assert not upward("eomt.train_scripts.training.x", "from eomt.train_scripts.data.samples import Sample")
    assert not upward("eomt.registration", "from eomt.image_processing.image_processing_eomt import EomtImageProcessor")


def test_package_code_never_imports_transformers_own_model():
    assert not [module for module, path in modules() if any("models.eomt" in name for name in imported(path.read_text()))]


def test_scripts_are_thin():
    lengths = {path.name: len(path.read_text().splitlines()) for path in (ROOT / "train_scripts").glob("*.py")}
    assert {"train.py", "score.py", "predict.py", "prepare.py", "demo.py"} <= lengths.keys()
    assert not {name: lines for name, lines in lengths.items() if lines > MOST_LINES}
