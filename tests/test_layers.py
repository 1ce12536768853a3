"""The layers of the package, read from the imports themselves: a folder imports from folders below it alone. Scripts are thin."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Packages from the bottom to the top. Those in one line know nothing of each other.
LAYERS = (
    ("eomt.configuration",),
    ("eomt.image_processing",),
    ("eomt",),
    ("eomt.train_scripts.data", "eomt.model_cards"),
    ("eomt.train_scripts.metrics",),
    ("eomt.train_scripts.evaluation",),
    ("eomt.train_scripts.training", "eomt.train_scripts.exporting"),
    ("eomt.train_scripts.web",),
    ("eomt.train_scripts",),  # the scripts, which don't know each other either
)
HEIGHT = {package: height for height, packages in enumerate(LAYERS) for package in packages}
FOLDERS = {"modeling_eomt": "eomt"} | {
    name: f"eomt.{name}" for name in ("configuration", "image_processing", "model_cards", "train_scripts")
}
MOST_LINES = 60  # of a script
STOCK = ("transformers.models.eomt", "transformers.Eomt")  # transformers' own EoMT, an oracle of tests and nothing else


def modules(root: Path) -> dict[str, Path]:
    """{module: file} of the package in a checkout."""
    return {
        ".".join([package, *file.relative_to(root / folder).with_suffix("").parts]).removesuffix(".__init__"): file
        for folder, package in FOLDERS.items()
        for file in sorted((root / folder).rglob("*.py"))
    }


def imports(source: str) -> Iterator[tuple[int, str]]:
    """(line, name) of all that is imported, also inside functions; `from a import b` gives `a.b`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{'.' * node.level}{node.module or ''}.{alias.name}") for alias in node.names)


def package_of(name: str) -> str:
    """The longest package of `LAYERS` that a module, or a name in it, is in; a script is one of its own."""
    package = next(known for known in sorted(HEIGHT, key=len, reverse=True) if f"{name}.".startswith(f"{known}."))
    return ".".join(name.split(".")[:3]) if package == "eomt.train_scripts" else package


def is_below(imported: str, importing: str) -> bool:
    heights = [HEIGHT.get(package, HEIGHT["eomt.train_scripts"]) for package in (imported, importing)]
    return imported == importing or heights[0] < heights[1]


def violations(root: Path) -> list[str]:
    """`file:line imports name` for each import of the package that is upward, relative, or of transformers' own EoMT."""
    wrong = []
    for module, file in modules(root).items():
        for line, name in imports(file.read_text(encoding="utf-8")):
            inside = f"{name}.".startswith("eomt.")
            if name.startswith((".", *STOCK)) or inside and not is_below(package_of(name), package_of(module)):
                wrong.append(f"{file.relative_to(root).as_posix()}:{line} imports {name}")
    return wrong


def long_scripts(root: Path) -> dict[str, int]:
    """{name: lines} of the scripts that are longer than a page."""
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in (root / "train_scripts").glob("*.py")}
    return {name: lines for name, lines in lengths.items() if lines > MOST_LINES}


def test_no_import_is_upward():
    assert len(modules(ROOT)) > 100 and not violations(ROOT)


def test_scripts_are_thin(tmp_path):
    assert (ROOT / "train_scripts" / "train.py").is_file() and not long_scripts(ROOT)
    (tmp_path / "train_scripts").mkdir()
    for name, lines in (("short.py", MOST_LINES), ("long.py", MOST_LINES + 1)):
        (tmp_path / "train_scripts" / name).write_text("x = 1\n" * lines)
    assert long_scripts(tmp_path) == {"long.py": MOST_LINES + 1}


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("train_scripts/data/x.py", "from eomt.train_scripts.evaluation.tasks import TASKS"),
        ("train_scripts/data/x.py", "from eomt.train_scripts import evaluation"),
        ("train_scripts/data/x.py", "from eomt.model_cards import rendering"),
        ("train_scripts/metrics/x.py", "import eomt.train_scripts.training.trainer"),
        ("train_scripts/training/x.py", "from eomt.train_scripts import train"),
        ("train_scripts/predict.py", "from eomt.train_scripts.score import main"),
        ("image_processing/x.py", "from eomt import EomtConfig"),
        ("modeling_eomt/weights/x.py", "from eomt.train_scripts.data.samples import Sample"),
        ("modeling_eomt/x.py", "from .masked_attention import masked"),
        ("modeling_eomt/x.py", "from transformers.models.eomt import modeling_eomt"),
        ("train_scripts/demo.py", "from transformers import EomtConfig"),
    ],
)
def test_the_check_sees_a_violation_also_inside_a_function(tmp_path, file, line):
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(f"def late():\n    {line}\n    import eomt.configuration\n")
    (wrong,) = violations(tmp_path)
    assert wrong.startswith(f"{file}:2 imports ") and wrong.split()[-1] in line.replace(" import ", ".")


def test_the_check_lets_imports_from_below_pass(tmp_path):
    lines = {
        "train_scripts/train.py": "import eomt.train_scripts.training.trainer, eomt.train_scripts.data.samples",
        "train_scripts/training/x.py": "from eomt.model_cards.rendering import TEMPLATE",
        "train_scripts/evaluation/x.py": "from eomt.train_scripts.evaluation import tasks",
        "model_cards/x.py": "from eomt import EomtConfig\nfrom transformers import AutoModel\nimport eomt_like",
        "modeling_eomt/__init__.py": "from eomt.image_processing.sizes import Size",
    }
    for file, line in lines.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(line)
    assert len(modules(tmp_path)) == 5 and not violations(tmp_path)
