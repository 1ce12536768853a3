"""Pictures of the schedules, drawn from the functions that the training uses."""

from collections.abc import Callable, Mapping

from eomt.train_scripts.training.schedules import ENCODER_WARMUP, HEAD_WARMUP, learning_rate_factor, mask_probability

WIDTH, HEIGHT, LEFT, BOTTOM, MARGIN = 640, 240, 44, 42, 12  # pixels
POINTS = 600
X_TITLE = "share of the training that is done"
COLORS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd")
STYLE = "font-family: sans-serif; font-size: 13px; fill: #555"


def masking_picture(num_blocks: int = 4) -> str:
    """An SVG of the probability of masked attention in each of the last blocks over the training."""
    curves = {
        f"block {block + 1}": lambda progress, block=block: mask_probability(progress, block, num_blocks)
        for block in range(num_blocks)
    }
    return _plot(curves, "probability of masking", names_at=0.02)


def learning_rate_picture() -> str:
    """An SVG of the learning rates' factors, with warm-ups ten times as long as the paper's, or they would not be visible."""
    head, encoder = 10 * HEAD_WARMUP, 10 * ENCODER_WARMUP
    curves = {
        "new parameters": lambda progress: learning_rate_factor(progress, 0.0, head),
        "pretrained encoder": lambda progress: learning_rate_factor(progress, head, encoder),
    }
    return _plot(curves, "factor of the learning rate", names_at=0.7)


def _plot(curves: Mapping[str, Callable[[float], float]], title: str, names_at: float) -> str:
    """A line a curve over axes from 0 to 1, and the curves' names at a progress where there is room."""
    axes = [
        f'<text x="{_x(tick):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{label}</text>'
        f'<line x1="{_x(tick):.1f}" x2="{_x(tick):.1f}" y1="{_y(0):.1f}" y2="{_y(1):.1f}" stroke="#8884"/>'
        for tick, label in ((0, "0"), (1 / 6, "1/6"), (1 / 3, "1/3"), (1 / 2, "1/2"), (2 / 3, "2/3"), (5 / 6, "5/6"), (1, "1"))
    ]
    axes += [f'<text x="{LEFT - 8}" y="{_y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>' for tick in (0, 0.5, 1)]
    axes.append(f'<text x="{(LEFT + WIDTH - MARGIN) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{X_TITLE}</text>')
    axes.append(f'<text transform="translate(12 {_y(0.5):.1f}) rotate(-90)" text-anchor="middle">{title}</text>')
    lines = []
    for rank, (name, curve) in enumerate(curves.items()):
        points = " ".join(f"{_x(i / POINTS):.1f},{_y(curve(i / POINTS)):.1f}" for i in range(POINTS + 1))
        lines.append(f'<polyline points="{points}" fill="none" stroke="{COLORS[rank]}" stroke-width="2"/>')
        lines.append(f'<text x="{_x(names_at):.1f}" y="{_y(0.8) + 18 * rank:.1f}" style="fill: {COLORS[rank]}">{name}</text>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" style="{STYLE}">'
    return "\n".join([head, *axes, *lines, "</svg>"])


def _x(progress: float) -> float:
    return LEFT + progress * (WIDTH - LEFT - MARGIN)


def _y(value: float) -> float:
    return MARGIN + (1 - value) * (HEIGHT - BOTTOM - MARGIN)
