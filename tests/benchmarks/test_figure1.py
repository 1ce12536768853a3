"""Figure 1: its points are those of the yaml, and measured speed is a panel of its own."""

import json

import pytest
from figure1 import draw, read_measured
from paper_rows import read_tables

LADDER = [row.method for row in read_tables()["Tables 1 and B"].rows]


def test_points_are_table_3s_in_four_sizes():
    (axes,) = draw().axes
    curves = {curve.get_label(): list(zip(*curve.get_data(), strict=True)) for curve in axes.lines}
    rows = {row.method: (row.fps, row.score) for row in read_tables()["Table 3"].rows}
    assert curves["ViT-Adapter + Mask2Former"] == [rows[f"ViT-Adapter + M2F, {size}"] for size in "gLBS"]
    assert curves["EoMT"] == [rows[f"EoMT, {size}"] for size in "gLBS"]
    assert [text.get_text() for text in axes.texts] == [f"ViT-{size}" for size in "gLBS"] * 2
    assert "Table 3" in axes.get_title() and "H100" in axes.get_title()


def test_measured_speed_is_a_second_panel(tmp_path):
    seconds = dict(zip(LADDER, [8, 4, 2, 2, 2, 1], strict=True))
    run = {"machine": "2 CPU threads", "dtype": "float32", "image_size": 320, "seconds": {"small": seconds}}
    (tmp_path / "speed.json").write_text(json.dumps(run))
    _, axes = draw(read_measured(tmp_path / "speed.json")).axes
    paper, measured = axes.lines
    assert list(measured.get_xdata()) == [8, 4, 2, 2, 2, 1]
    assert measured.get_label() == "small at 320, 2 CPU threads, float32"
    assert list(paper.get_xdata()) == pytest.approx([128 / 29, 128 / 36, 128 / 61, 128 / 64, 128 / 61, 1])


def test_a_measurement_without_all_rows_is_refused(tmp_path):
    (tmp_path / "speed.json").write_text(json.dumps({"seconds": {"small": {LADDER[0]: 1.0}}}))
    with pytest.raises(ValueError, match=r"--measured .*speed.json: small lacks '\(1\) without ViT-Adapter'; write it with"):
        read_measured(tmp_path / "speed.json")
