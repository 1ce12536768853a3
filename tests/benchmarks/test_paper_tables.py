"""The paper's tables: what is counted, what agrees, and that the committed page is what the command prints."""

from pathlib import Path

import paper_tables
import pytest
from paper_rows import Row, read_tables

PAGE = Path(__file__).parents[2] / "docs" / "paper_tables.md"


@pytest.mark.parametrize(
    ("published", "counted", "agreed"),
    [(316, 316.70, True), (316, 315.40, True), (317, 316.70, True), (830, 828.42, True), (700, 739.73, False), (24, 25.1, False)],
)
def test_a_figure_agrees_if_it_rounds_or_is_cut_to_the_published_or_is_within_half_a_per_cent(published, counted, agreed):
    assert paper_tables.agrees(published, counted) == agreed


@pytest.mark.parametrize(
    ("fields", "params", "gflops"),
    [
        (dict(recipe="coco_panoptic_small_640"), 23.98, 67.96),
        (dict(recipe="coco_panoptic_small_640", masked=True), 23.98, 88.84),
        (dict(recipe="coco_panoptic_large_640_row1", timm_model="vit_small_patch14_reg4_dinov2", masked=True), 44.58, 143.16),
        (dict(recipe="cityscapes_semantic_large_1024", crops=2), 319.03, 4350.60),
    ],
)
def test_a_row_is_counted_on_its_recipes_model(fields, params, gflops):
    counted = paper_tables.count(Row(method="", gflops=0, **fields))
    assert (counted.params, counted.gflops) == (pytest.approx(params, abs=0.005), pytest.approx(gflops, abs=0.005))


def test_a_row_that_is_not_counted_says_why():
    rows = [row for table in read_tables().values() for row in table.rows]
    assert len(rows) > 75 and all(row.recipe or row.rival or row.reason for row in rows)
    line = paper_tables.line(Row(method="tokens merged", gflops=3031, fps=9, score=84.3, reason="not here"))
    assert line == "| tokens merged |  |  | 3031 |  | not counted | 9 | 84.3 | not here |"


def test_a_row_without_published_size_neither_agrees_nor_differs():
    line = paper_tables.line(Row(method="EoMT-S", fps=330, score=44.0, recipe="coco_panoptic_small_640"))
    assert line == "| EoMT-S |  | 23.98 |  | 67.96 |  | 330 | 44.0 |  |"


def test_every_row_has_its_published_score_and_those_of_the_paper_their_speed():
    tables = read_tables()
    assert [table.score for table in tables.values()] == ["PQ", "PQ", "PQ", "PQ", "mIoU", "AP", "mIoU", "PQ"]
    rows = [row for table in tables.values() for row in table.rows]
    assert all(row.score for row in rows)
    assert all(row.fps for row in rows if row.recipe)


def test_figures_that_differ_are_printed_with_their_reason():
    different = [line.split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines() if "**no**" in line]
    assert [cells[0] for cells in different] == [
        "| (1) without ViT-Adapter",
        "| Mask2Former on Swin-L, COCO, 800",
        "| OneFormer on ConvNeXt-XL, Cityscapes",
        "| OneFormer on ConvNeXt-XL, ADE20K",
        "| Mask2Former on Swin-L, 800",
    ]
    assert all("the paper's" in cells[-1] for cells in different)
    assert "702.23 without `pixel_decoder.encoder`" in different[0][-1]
    assert "input 512 x 1024; 3033.78 for 1024 x 2048" in different[2][-1]


def test_a_measurement_needs_a_figure_to_be_drawn_in(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["paper_tables.py", "--measured", "speed.json"])
    with pytest.raises(SystemExit):
        paper_tables.main()
    assert "--measured needs --figure" in capsys.readouterr().err


@pytest.mark.slow
def test_the_committed_page_is_what_the_command_prints():
    assert PAGE.read_text(encoding="utf-8") == paper_tables.page(), "run python benchmarks/paper_tables.py > docs/paper_tables.md"
