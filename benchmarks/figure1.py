"""Figure 1 of the paper, and a second panel that compares the speed of Table 1's rows with speed measured elsewhere."""

import json
from itertools import cycle
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from paper_rows import read_tables

METHODS = {"ViT-Adapter + M2F": "ViT-Adapter + Mask2Former", "EoMT": "EoMT"}  # Table 3's names of the two curves, and the legend's
COLOURS = ("tab:orange", "tab:blue")


def draw(measured: dict | None = None) -> Figure:
    """
    PQ against images a second, both of Table 3 of the paper.

    Args:
        measured: of `read_measured`. Makes a second panel, as there is no PQ for that speed: how many times as fast as each row of
            Table 1 EoMT is, in the paper and measured.
    """
    figure = Figure(figsize=(13 if measured else 6.5, 4.5), layout="constrained")
    panels = figure.subplots(1, 2 if measured else 1, squeeze=False)[0]
    draw_accuracy(panels[0])
    if measured:
        draw_speed(panels[1], measured)
    return figure


def draw_accuracy(axes: Axes) -> None:
    """A curve a method, a point a size."""
    table = read_tables()["Table 3"]
    for (method, label), colour in zip(METHODS.items(), COLOURS, strict=True):
        points = [(row.fps, row.score, row.method.split(", ")[1]) for row in table.rows if row.method.split(", ")[0] == method]
        speeds, scores, sizes = zip(*points, strict=True)
        axes.plot(speeds, scores, "o-", color=colour, label=label)
        for speed, score, size in points:
            axes.annotate(f"ViT-{size}", (speed, score), xytext=(6, 6), textcoords="offset points", color=colour)
    axes.set(xscale="log", xlabel="images a second", ylabel=table.score, title="Paper, Table 3: COCO val2017, NVIDIA H100")
    axes.set_xticks([20, 50, 100, 200, 400], labels=[20, 50, 100, 200, 400])
    axes.minorticks_off()
    axes.margins(0.12)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left")


def draw_speed(axes: Axes, measured: dict) -> None:
    """How many times as fast as each row EoMT is."""
    paper = {row.method: 1 / row.fps for row in read_tables()["Tables 1 and B"].rows}
    series = {"paper, ViT-L at 640, NVIDIA H100": paper}
    for architecture, seconds in measured["seconds"].items():
        series[f"{architecture} at {measured['image_size']}, {measured['machine']}, {measured['dtype']}"] = seconds
    positions = range(len(paper), 0, -1)
    for (label, seconds), marker in zip(series.items(), cycle("osD^v"), strict=False):
        *_, eomt = paper
        axes.plot([seconds[row] / seconds[eomt] for row in paper], positions, marker, label=label)
    axes.set_yticks(positions, labels=list(paper))
    axes.set(xlabel="EoMT's speed over the row's", title="Rows of Table 1", xlim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")


def read_measured(path: Path) -> dict:
    """
    What `ladder_speed.py --output` wrote.

    Raises:
        ValueError: if a row of Table 1 is missing.
    """
    measured = json.loads(path.read_text(encoding="utf-8"))
    rows = [row.method for row in read_tables()["Tables 1 and B"].rows]
    for architecture, seconds in measured["seconds"].items():
        if missing := [row for row in rows if row not in seconds]:
            raise ValueError(f"--measured {path}: {architecture} lacks {missing[0]!r}; write it with ladder_speed.py --output")
    return measured
