"""`import eomt` loads what a forward pass needs and registers; a command reads its options before it loads anything heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# scipy is not among them: transformers loads it by itself where it is installed
OF_TRAINING_AND_SCORING = ("pycocotools", "timm", "datasets", "evaluate")
NAMES = {  # the ways of starting a command that are told from a program of somebody's own
    "console script": "eomt",
    "console script of one command": "eomt-train",
    "console script on Windows": "eomt-score-script.py",
    "file": "train_scripts/train.py",
}
OTHERS = {"program": "serve.py", "test": "pytest", "program beside the scripts": "train.py", "program named alike": "eomtrain"}


def run_python(*words: str) -> str:
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True).stdout


def loaded(program: Path, code: str) -> list[str]:
    """The words that a program prints, which is written for it."""
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(code)
    return run_python(str(program)).split()


def test_importing_the_package_loads_no_package_of_training_or_scoring():
    names = run_python("-c", f"import sys, eomt; print(*[name for name in {OF_TRAINING_AND_SCORING} if name in sys.modules])")
    assert names.split() == []


@pytest.mark.parametrize("program", NAMES.values(), ids=NAMES)
def test_a_command_loads_the_classes_with_their_first_use_which_registers_them(tmp_path, program):
    code = """
import sys, eomt
print("torch" in sys.modules, "transformers" in sys.modules)
model_class = eomt.EomtForUniversalSegmentation
from transformers import AutoModel
print(AutoModel._model_mapping[eomt.EomtConfig] is model_class)
"""
    assert loaded(tmp_path / program, code) == ["False", "False", "True"]


@pytest.mark.parametrize("program", OTHERS.values(), ids=OTHERS)
def test_any_other_program_has_the_classes_registered_by_the_import(tmp_path, program):
    code = """
import eomt
from transformers import CONFIG_MAPPING
print(CONFIG_MAPPING["eomt"].__module__)
"""
    assert loaded(tmp_path / program, code) == ["eomt.configuration.configuration_eomt"]


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(ImportError, match="cannot import name 'EomtForDepth' from 'eomt'"):
        from eomt import EomtForDepth  # noqa: F401


@pytest.mark.parametrize("name", ["prepare", "train", "score", "predict", "export", "bravo", "convert", "demo"])
@pytest.mark.parametrize("words", [["--no_such", "1"], ["--help"]], ids=" ".join)
def test_a_command_answers_a_wrong_option_and_shows_its_help_without_the_model(name, words):
    """`train` needs PyTorch for transformers' TrainingArguments, but neither a model nor the modules of training.

    Beside PyTorch transformers loads PEFT, where it is installed, and PEFT torchvision.
    """
    code = f"""
import atexit, sys
atexit.register(lambda: print("heavy:", *[name for name in {("torch", "timm", "pycocotools")} if name in sys.modules]))
sys.argv = ["eomt", "{name}", *{words}]
from eomt.train_scripts.cli import main
main()
"""
    result = subprocess.run([sys.executable, "-c", f"import sys; sys.argv = ['eomt']\n{code}"], capture_output=True, text=True)
    assert result.stdout.splitlines()[-1].split(":")[1].split() == (["torch"] if name == "train" else []), result.stderr


def test_modules_of_the_commands_that_use_auto_classes_have_them_registered():
    """Without it, the Auto classes would silently give transformers' own."""
    for file in (ROOT / "train_scripts").rglob("*.py"):
        names = {
            f"{node.module}.{alias.name}"
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        auto = {name for name in names if name.startswith("transformers.Auto")}
        assert not auto or any(name.startswith("eomt.Eomt") for name in names), f"{file} uses {auto}: import a class of eomt"
