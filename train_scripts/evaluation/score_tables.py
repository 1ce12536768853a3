"""Tables of scores, for every task."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.evaluation.score_names import score_name

# what tables show, in this order
COLUMNS = ("pq", "sq", "rq", "pq_things", "pq_stuff", "miou", "pixel_accuracy")
COLUMNS += ("ap", "ap50", "ap75", "ap_all", "ap50_all", "ap_small", "ap_medium", "ap_large", "boundary_ap", "boundary_ap50")
CLASS_COLUMN = {"miou": "IoU", "ap": "AP"}  # of a metric with one figure a class
TIMES = ("preprocessing_ms", "forward_ms", "post_processing_ms", "total_ms", "images_per_second")  # of a latency
GROUPS = {"all": "", "things": "_things", "stuff": "_stuff"}


def print_scores(folder: str | Path, title: str) -> None:
    """Prints a run's scores before and after training.

    Args:
        folder: a run's output, with `before_results.json` and `eval_results.json`.
        title: says what was scored.
    """
    rows = {}
    for row, prefix in (("before training", "before"), ("after training", "eval")):
        scores = json.loads((Path(folder) / f"{prefix}_results.json").read_text())
        rows[row] = {name.removeprefix(f"{prefix}_"): value for name, value in scores.items()}
    columns = [key for key in COLUMNS if key in rows["after training"]]
    print(table(title, columns, {name: [row.get(key) for key in columns] for name, row in rows.items()}))


def table(title: str, columns: Sequence[str], rows: Mapping[str, Sequence[float | None]]) -> str:
    """A table of scores; what doesn't occur, None or the -1 of a metric, is a dash."""
    width = max(18, *(len(name) + 2 for name in rows), len(title) + 2)
    heads = [score_name(column) for column in columns]
    widths = [max(10, len(head) + 2) for head in heads]
    lines = [f"{title:<{width}}" + "".join(f"{head:>{w}}" for head, w in zip(heads, widths, strict=True))]
    for name, values in rows.items():
        cells = (
            f"{'-' if value is None or value < 0 else format(value, '.1f'):>{w}}" for value, w in zip(values, widths, strict=True)
        )
        lines.append(f"{name:<{width}}" + "".join(cells))
    return "\n".join(lines)


def score_tables(scores: Mapping[str, Any], labels: Labels, most: int | None = None) -> str:
    """The scores of a metric: over all classes (and things and stuff, or sizes), and by class; and what the model costs, if known.

    Args:
        scores: what a metric's `compute` gives, and maybe `parameters` and `latency`.
        labels: the task's classes.
        most: classes to show, the highest and the lowest ones; all by default.
    """
    if "pq" in scores:
        names = ("pq", "sq", "rq")
        groups = {group: suffix for group, suffix in GROUPS.items() if f"pq{suffix}" in scores}
        overall = table("", names, {group: [scores[name + suffix] for name in names] for group, suffix in groups.items()})
        by_class = [[None] * 3 if row is None else [row[name] for name in names] for row in scores["per_class"]]
    else:
        columns = [key for key in COLUMNS if key in scores]
        overall = table("", columns, {"all": [scores[key] for key in columns]})
        names = [CLASS_COLUMN[columns[0]]]
        by_class = [[value] for value in scores["per_class"]]
    rows = dict(zip(labels.names, by_class, strict=True))
    parts = [overall, table("class", names, rows if most is None else _extremes(rows, most))]
    if "parameters" in scores:
        cost = costs(scores)
        parts.append(table("", list(cost), {"one image at a time" if "latency" in scores else "model": list(cost.values())}))
    return "\n\n".join(parts)


def costs(scores: Mapping[str, Any]) -> dict[str, float]:
    """{column: value} of a model's size and, if it was timed, of the medians over images.

    Args:
        scores: with `parameters`, and maybe `latency`.
    """
    latency = scores.get("latency", {})
    return {"million_parameters": scores["parameters"] / 1e6, **{name: latency[name] for name in TIMES if name in latency}}


def _extremes(rows: Mapping[str, Sequence[float | None]], most: int) -> dict[str, Sequence[float | None]]:
    """Rows of classes that occur, the highest and the lowest by their first score if they are too many."""
    if len(rows) <= most:
        return dict(rows)
    seen = {name: row for name, row in rows.items() if row[0] is not None}
    ranked = sorted(seen, key=lambda name: -seen[name][0])
    if len(ranked) > most:
        hidden = {f"... {len(ranked) - most // 2 * 2} between": [None] * len(seen[ranked[0]])}
        return {name: seen[name] for name in ranked[: most // 2]} | hidden | {name: seen[name] for name in ranked[-(most // 2) :]}
    return {name: seen[name] for name in ranked}
