"""The paper's tables: what is counted, what agrees, and that the committed page is what the command prints."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("paper_tables", ROOT / "benchmarks" / "paper_tables.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["paper_tables"] = module  # where dataclasses look their types up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["paper_tables"]


@pytest.mark.parametrize(
    ("published", "counted", "agreed"),
    [(316, 316.70, True), (316, 315.40, True), (317, 316.70, True), (830, 828.42, True), (700, 739.73, False), (24, 25.1, False)],
)
def test_a_figure_agrees_if_it_rounds_or_is_cut_to_the_published_or_is_within_half_a_per_cent(tables, published, counted, agreed):
    assert tables.agrees(published, counted) == agreed


@pytest.mark.parametrize(
    ("fields", "params", "gflops"),
    [
        (dict(recipe="coco_panoptic_small_640"), 23.98, 67.96),
        (dict(recipe="coco_panoptic_small_640", masked=True), 23.98, 88.84),
        (dict(recipe="coco_panoptic_large_640_row1", timm_model="vit_small_patch14_reg4_dinov2", masked=True), 44.58, 143.16),
        (dict(recipe="cityscapes_semantic_large_1024", crops=2), 319.03, 4350.60),
    ],
)
def test_a_row_is_counted_on_its_recipes_model(tables, fields, params, gflops):
    counted = tables.count(tables.Row(method="", gflops=0, **fields))
    assert (counted.params, counted.gflops) == (pytest.approx(params, abs=0.005), pytest.approx(gflops, abs=0.005))


def test_a_row_that_is_not_counted_says_why(tables):
    rows = [row for rows in tables.read_tables().values() for row in rows]
    assert len(rows) > 50 and all(row.recipe or row.reason for row in rows)
    line = tables.line(tables.Row(method="tokens merged", gflops=3031, reason="not here"))
    assert line == "| tokens merged |  |  | 3031 |  | not counted | not here |"


def test_the_one_figure_that_differs_is_told_with_its_reason():
    page = (ROOT / "docs" / "paper_tables.md").read_text(encoding="utf-8")
    [different] = [line for line in page.splitlines() if "**no**" in line]
    assert different.startswith("| (1) without ViT-Adapter |") and "702.23 without `pixel_decoder.encoder`" in different


@pytest.mark.slow
def test_the_committed_page_is_what_the_command_prints(tables):
    assert (ROOT / "docs" / "paper_tables.md").read_text(encoding="utf-8") == tables.page(), (
        "run python benchmarks/paper_tables.py > docs/paper_tables.md"
    )
