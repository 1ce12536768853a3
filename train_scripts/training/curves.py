"""A picture of a run's log over its steps: loss terms, learning rates, masking probabilities and scores.

Drawn with PIL, so that a model card costs no plotting library. N points in a line.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from eomt.train_scripts.evaluation.score_names import HEADLINES, score_name

Line = list[tuple[float, float]]  # N points (step, value)

SCALE = 2  # everything is drawn this much larger and shrunk, which smooths the lines
PANEL = (560, 300)  # width and height in pixels
LEFT, RIGHT, TOP, BOTTOM = 56, 24, 58, 34  # from a panel's edges to its axes
FONT_SIZE = 12
TICKS = 5  # on an axis, about
COLORS = ("#1f6fb4", "#e07b16", "#2f9440", "#c93333", "#7d55b3", "#84594c")
LOSS_TERMS = ("loss_mask", "loss_dice", "loss_cross_entropy")


def draw_curves(log_history: Sequence[Mapping[str, float]], path: str | Path) -> bool:
    """Writes a PNG with a panel for each kind of figure that the log has.

    Args:
        log_history: of a `TrainerState`: dicts with `step` and what was logged there.
        path: of the PNG.

    Returns:
        Whether there was anything to draw.
    """
    panels = {title: lines for title, lines in curves_of(log_history).items() if lines}
    if not panels:
        return False
    rows = math.ceil(len(panels) / 2)
    picture = Image.new("RGB", (SCALE * PANEL[0] * min(2, len(panels)), SCALE * PANEL[1] * rows), "white")
    for index, (title, lines) in enumerate(panels.items()):
        panel = _panel(title, lines)
        picture.paste(panel, (panel.width * (index % 2), panel.height * (index // 2)))
    picture = picture.resize((picture.width // SCALE, picture.height // SCALE), Image.Resampling.LANCZOS)
    picture.save(path, "PNG", optimize=True)
    return True


def curves_of(log_history: Sequence[Mapping[str, float]]) -> dict[str, dict[str, Line]]:
    """{panel: {line: points}}. A loss term is the sum over all predictions of the model, so that the terms sum to the loss."""
    losses: dict[str, Line] = {"sum": _line(log_history, "loss")}
    for term in LOSS_TERMS:
        sums = [
            {"step": entry["step"], term: sum(value for name, value in entry.items() if name.startswith(term))}
            for entry in log_history
            if term in entry
        ]
        losses[term.removeprefix("loss_").replace("_", " ")] = _line(sums, term)
    rates = {"encoder": _line(log_history, "learning_rate"), "queries and heads": _line(log_history, "learning_rate_head")}
    prefix = "mask_probability_"
    blocks = {int(key.removeprefix(prefix)) for entry in log_history for key in entry if key.startswith(prefix)}
    probabilities = {f"block {block}": _line(log_history, f"{prefix}{block}") for block in sorted(blocks)}
    scores = {score_name(name): _line(log_history, f"eval_{name}") for name in HEADLINES}
    panels = {
        "loss": losses,
        "learning rate": rates,
        "masking probability": probabilities,
        "scores on the evaluation split (%)": scores,
    }
    return {title: {name: line for name, line in lines.items() if line} for title, lines in panels.items()}


def _line(log_history: Sequence[Mapping[str, float]], key: str) -> Line:
    """Without what is not finite, and without the -1 of a score that doesn't exist."""
    return [(entry["step"], entry[key]) for entry in log_history if key in entry and 0 <= entry[key] < math.inf]


def _ticks(low: float, high: float) -> list[float]:
    """Round values from at most `low` to at least `high`."""
    rough = (high - low) / TICKS
    magnitude = 10 ** math.floor(math.log10(rough))
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= rough * 0.999)
    return [index * step for index in range(math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9) + 1)]


def _panel(title: str, lines: Mapping[str, Line]) -> Image.Image:
    """Axes from 0, gridlines, a legend above, and the lines; a line of one point is a dot."""
    panel = Image.new("RGB", (SCALE * PANEL[0], SCALE * PANEL[1]), "white")
    draw, font = ImageDraw.Draw(panel), ImageFont.load_default(SCALE * FONT_SIZE)
    steps = _ticks(0, max(1, *(step for line in lines.values() for step, _ in line)))
    values = _ticks(0, max(value for line in lines.values() for _, value in line) or 1)
    left, right = SCALE * LEFT, panel.width - SCALE * RIGHT
    top, bottom = SCALE * TOP, panel.height - SCALE * BOTTOM

    def pixel(step: float, value: float) -> tuple[float, float]:
        return left + (right - left) * step / steps[-1], bottom - (bottom - top) * value / values[-1]

    for value in values:
        y = pixel(0, value)[1]
        draw.line((left, y, right, y), "#dddddd" if value else "#444444", SCALE)
        draw.text((left - SCALE * 6, y), f"{value:.3g}", "#444444", font, anchor="rm")
    for step in steps:
        draw.text((pixel(step, 0)[0], bottom + SCALE * 12), f"{step:g}", "#444444", font, anchor="mm")
    draw.text((left, SCALE * 16), title, "black", ImageFont.load_default(SCALE * (FONT_SIZE + 2)), anchor="lm")
    x = left
    for index, (name, line) in enumerate(lines.items()):
        color = COLORS[index % len(COLORS)]
        points = [pixel(*point) for point in line]
        if len(points) > 1:
            draw.line(points, color, SCALE * (2 if index else 4), joint="curve")  # the first may lie under others
        for px, py in points if len(points) <= 20 else []:
            draw.circle((px, py), SCALE * 3, color)
        draw.line((x, SCALE * 38, x + SCALE * 14, SCALE * 38), color, SCALE * 3)
        draw.text((x + SCALE * 19, SCALE * 38), name, "black", font, anchor="lm")
        x += SCALE * 34 + font.getlength(name)
    return panel
