"""The site builds without a warning and without a network, and shows what it is generated from."""

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from api_pages import api_pages
from architecture_table import architecture_table
from curve_pictures import learning_rate_picture, masking_picture
from option_tables import option_table
from recipe_table import RECIPES, recipe_table

from eomt.model_cards.architectures import published
from eomt.train_scripts.training.arguments import EomtTrainingArguments
from eomt.train_scripts.training.data_arguments import DataArguments

ROOT = Path(__file__).parents[2]


def test_the_readme_is_short_and_its_links_lead_somewhere():
    text = (ROOT / "README.md").read_text()
    assert text.count("\n") <= 125
    for page in ("README.md", "CONTRIBUTING.md", "benchmarks/README.md"):
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / page).read_text()):
            assert "://" in target or (ROOT / page).parent.joinpath(target).exists(), f"{page}: {target}"


@pytest.mark.parametrize("name", ["small", "base", "large", "giant"])
def test_the_readmes_published_figures_are_the_model_cards(name):
    (row,) = [line for line in (ROOT / "README.md").read_text().splitlines() if f"model_cards/{name}.md" in line]
    results = [result for result in published(name)["results"] if not result["masked"] and "note" not in result]
    scores = [str(result["score"]) for result in results]
    assert sorted(re.findall(r"\d+\.\d", row)) == sorted(scores)
    assert f"| {results[0]['params']} |" in row


def test_the_architectures_are_listed():
    assert "| large | 24 | 4 | 1024 | 16 | 200 |" in architecture_table()


def test_options_are_those_of_the_dataclasses():
    table = option_table("train", "DataArguments")
    assert re.findall(r"^\| `--(\w+)`", table, re.MULTILINE) == [field.name for field in fields(DataArguments)]
    assert "| `--data` | required | folder of parquet shards" in table
    assert "| `--image_size` | `640` | side of the square" in table


def test_inherited_options_are_apart():
    own, inherited = option_table("train", "EomtTrainingArguments"), option_table("train", "+EomtTrainingArguments")
    assert "`--layer_decay`" in own and "`--layer_decay`" not in inherited
    assert "`--seed`" in inherited and "`--seed`" not in own
    rows = own.count("\n| `") + inherited.count("\n| `")
    assert rows == sum(field.init for field in fields(EomtTrainingArguments))
    with pytest.raises(ValueError, match="no dataclass Nothing"):
        option_table("train", "Nothing")


def test_choices_are_named():
    assert re.search(r"\| `--task` \| required \| .*semantic.*instance.*panoptic", option_table("score"))


def test_every_recipe_is_listed():
    table = recipe_table()
    assert [row.split("`")[1] for row in table.splitlines()[2:]] == sorted(path.stem for path in RECIPES.glob("*.yaml"))
    assert "| 56.0 PQ on val2017 | paper, Table 3 |" in table


def test_curves_are_those_of_the_schedules():
    masking, rates = masking_picture(num_blocks=3), learning_rate_picture()
    assert masking.count("<polyline") == 3 and rates.count("<polyline") == 2
    first = re.search(r'points="([^"]+)"', masking)[1].split()
    heights = [float(point.split(",")[1]) for point in first]
    assert heights[:100] == [heights[0]] * 100 and heights[200:] == [heights[-1]] * (len(heights) - 200)  # 1/6 and 1/3 of 600
    assert heights == sorted(heights)  # falls: y grows downwards


def test_every_module_has_its_reference():
    pages = api_pages()
    listed = {name for text in pages.values() for name in re.findall(r"^::: (\S+)$", text, re.MULTILINE)}
    assert {
        "eomt.modeling_eomt",
        "eomt.configuration.configuration_eomt",
        "eomt.train_scripts.data.formats.coco_instances",
    } <= listed
    assert not any("__init__" in name for name in listed)


@pytest.mark.slow
def test_it_builds_strictly_and_asks_no_other_server(tmp_path):
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    built = subprocess.run(command, cwd=ROOT, text=True, capture_output=True)
    assert built.returncode == 0, built.stderr[-4000:]
    pages = {path.relative_to(tmp_path / "site").as_posix(): path.read_text() for path in (tmp_path / "site").rglob("*.html")}
    assert "FOLDER_coco" in pages["layouts.html"]
    assert "--layer_decay" in pages["training.html"] and "coco_panoptic_large_640" in pages["training.html"]
    assert "<!-- generate" not in "".join(pages.values())
    assert 'id="eomt.modeling_eomt.EomtForUniversalSegmentation"' in pages["api/eomt.html"]
    assert (tmp_path / "site/masking_probabilities.svg").is_file()
    for name, text in pages.items():
        assert not re.search(r'<(script|img|iframe)[^>]*src="https?://|<link[^>]*rel="stylesheet"[^>]*href="https?://', text), name
