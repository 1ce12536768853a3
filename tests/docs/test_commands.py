"""The commands of README and site: they run, or say why not and have options that exist."""

import importlib
import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from argparse import ArgumentParser
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest
import yaml
from code_blocks import CodeBlock, code_blocks, command_lines, commands
from option_tables import parser_of

from eomt.train_scripts.cli import COMMANDS
from eomt.train_scripts.training.recipe import recipe_words

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
SITE = [ROOT / "docs" / name for entry in yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"] for name in entry.values()]
PAGES = [README, *SITE]
SCRIPTS = sorted(path.stem for path in (ROOT / "train_scripts").glob("*.py") if path.stem != "__init__")
INSTALLED = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]  # {command: "module:main"}
TARGETS = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
OTHERS = {"source", "pip", "hf"}  # whose words are not checked
INLINE = re.compile(r"(?<!`)`((?:python |make |train_scripts/\w+\.py |eomt[- ]|--)[^`]*)`(?!`)")


@cache
def parser(script: str) -> ArgumentParser | None:
    """The parser of a script, by its path or by the name of a module."""
    if not script.endswith(".py"):
        return parser_of(importlib.import_module(script).main)
    spec = importlib.util.spec_from_file_location(Path(script).stem, ROOT / script)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str((ROOT / script).parent))  # as Python does for a script
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return parser_of(module.main)


def script_call(words: list[str]) -> tuple[str, list[str]] | None:
    """The script of this project that a command calls, and the words after it; None for a command of another kind.

    Raises:
        ValueError: the command is unknown here.
    """
    if words[0] == "make":
        if unknown := {word for word in words[1:] if "=" not in word} - set(TARGETS):
            raise ValueError(f"the Makefile has no target {sorted(unknown)}")
        return None
    if words[0] in OTHERS or words[:3] == ["python", "-m", "http.server"]:
        return None
    if words[0] == "eomt" and words[1] in COMMANDS:
        return f"eomt.train_scripts.{words[1]}", words[2:]
    if words[0] in INSTALLED:
        return INSTALLED[words[0]].split(":")[0], words[1:]
    for index, word in enumerate(words):
        if word.endswith(".py"):
            return word, words[index + 1 :]
        if word == "-m" and words[index + 1].startswith("eomt."):
            return words[index + 1], words[index + 2 :]
    raise ValueError(f"{' '.join(words)!r} is no command that can be checked")


def unknown_options(words: list[str]) -> list[str]:
    call = script_call(words)
    options = [word.split("=")[0] for word in call[1] if word.startswith("--")] if call else []
    return [option for option in options if option not in parser(call[0])._option_string_actions]


def parse(words: list[str]) -> None:
    """Parses a command as its script does, recipe included."""
    call = script_call(words)
    if call and call[1]:
        recipe = recipe_words(call[1][call[1].index("--recipe") + 1]) if "--recipe" in call[1] else []
        parser(call[0]).parse_args([*recipe, *call[1]])


SKIPPED = [block for page in PAGES for block in code_blocks(page) if block.skipped]


@pytest.mark.parametrize("block", [block for block in SKIPPED if block.language == "bash"], ids=str)
def test_a_command_that_is_not_run_can_be_parsed(block, monkeypatch):
    monkeypatch.chdir(ROOT)
    for words in commands(block.text):
        parse(words)


@pytest.mark.parametrize("block", [block for block in SKIPPED if block.language == "python"], ids=str)
def test_code_that_is_not_run_compiles(block):
    compile(block.text, str(block), "exec")


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_options_in_running_text_exist(page, monkeypatch):
    """Those after a command are its own; those that stand alone are of a script, or of a benchmark that the page calls."""
    monkeypatch.chdir(ROOT)
    texts = INLINE.findall(re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL))
    called = {call[0] for text in texts if text[0] != "-" and (call := script_call(text.split())) and call[1]}
    scripts = called | {f"eomt.train_scripts.{script}" for script in SCRIPTS}
    options = {option for script in scripts for option in parser(script)._option_string_actions}
    for text in texts:
        alone = text.startswith("--")
        words = text.split()
        unknown = [word for word in words if word.startswith("--") and word not in options] if alone else unknown_options(words)
        assert not unknown, f"{page.name}: `{text}`"


def test_unknown_options_and_targets_are_found():
    assert unknown_options("python train_scripts/score.py --task semantic --no_such 1".split()) == ["--no_such"]
    with pytest.raises(ValueError, match="no target"):
        script_call("make nothing".split())
    with pytest.raises(ValueError, match="panoptical"):
        parse("eomt-score --checkpoint c --data d --task panoptical".split())


def test_comments_above_a_block_say_how_it_is_tested(tmp_path):
    page = tmp_path / "page.md"
    fence = "```bash\npython a/train.py --x 1 \\\n    --y 2  # why\npython a/score.py\n```\n"
    page.write_text(f"<!-- test: train.py with --x 3 -->\n{fence}\n<!-- test: skip, a reason -->\n{fence}")
    shortened, skipped = code_blocks(page)
    assert [line.split() for line in command_lines(shortened.text)] == [
        ["python", "a/train.py", "--x", "1", "--y", "2", "--x", "3"],
        ["python", "a/score.py"],
    ]
    assert shortened.skipped is None and skipped.skipped == "a reason"
    for wrong in (f"<!-- test: skip -->\n{fence}", f"<!-- test: other.py with --x 3 -->\n{fence}", "<!-- test: skip, x -->\n\n"):
        page.write_text(wrong)
        with pytest.raises(ValueError, match="page.md"):
            code_blocks(page)


def run(block: CodeBlock, folder: Path) -> None:
    """Runs a block in a folder, by the interpreter of the tests and without a network."""
    cache = folder.parent
    paths = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": paths, "HF_HUB_CACHE": str(cache / "hub"), "HF_HOME": str(cache / "home"), "HF_HUB_OFFLINE": "1"}
    env["OMP_NUM_THREADS"] = "1"  # tiny models: threads would cost more than they give
    if block.language == "bash":
        command = ["bash", "-euo", "pipefail", "-c", block.text]
    else:
        script = cache / "block.py"
        script.write_text(block.text)
        command = [sys.executable, str(script)]
    done = subprocess.run(command, cwd=folder, env=env, text=True, capture_output=True)
    assert done.returncode == 0, f"{block}:\n{block.text}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


@pytest.mark.slow
def test_the_commands_run_one_after_the_other(reader_folder):
    """Those of the README in one folder, those of the site's pages in another, both at once."""

    def run_all(pages: list[Path], folder: Path) -> int:
        blocks = [block for page in pages for block in code_blocks(page) if not block.skipped]
        for block in blocks:
            run(block, folder)
        return len(blocks)

    with ThreadPoolExecutor() as pool:
        ran = list(pool.map(run_all, ([README], SITE), (reader_folder("readme"), reader_folder("site"))))
    assert min(ran) >= 2
