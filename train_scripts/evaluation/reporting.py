"""What a run shows a person: a picture of predictions and tables of scores, for every task."""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pycocotools import mask as coco_mask
from torch import Tensor

from eomt.image_processing.pictures import GridRow, Segmentation, picture_grid
from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.planes import flatten_planes
from eomt.train_scripts.data.samples import Sample
from eomt.train_scripts.evaluation.score_names import score_name

# what tables show, in this order
COLUMNS = ("pq", "sq", "rq", "pq_things", "pq_stuff", "miou", "pixel_accuracy")
COLUMNS += ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "boundary_ap", "boundary_ap50")
CLASS_COLUMN = {"miou": "IoU", "ap": "AP"}  # of a metric with one figure a class
PICTURE_SIDE = 640  # pixels, the least long side to which larger images are reduced
GROUPS = {"all": "", "things": "_things", "stuff": "_stuff"}


def draw_predictions(
    results: Iterable[tuple[Sample, dict | Tensor]],
    labels: Labels,
    path: str | Path,
    images: int = 6,
    instance_threshold: float = 0.5,
) -> None:
    """Writes a grid of the first images with truth and prediction, and a legend.

    Args:
        results: as `eomt.train_scripts.evaluation.inference.predictions` yields them.
        labels: the task's classes.
        path: of the PNG.
        images: rows of the grid.
        instance_threshold: instances of a lower score are not drawn.
    """
    rows = [picture_row(*pair, instance_threshold) for pair in itertools.islice(results, images)]
    picture_grid(rows, path, labels.names, labels.isthing)


def keep_rows(
    results: Iterable[tuple[Sample, dict | Tensor]], rows: list[GridRow], images: int, total: int
) -> Iterator[tuple[Sample, dict | Tensor]]:
    """Passes `total` results on, and adds `images` of them to `rows`, evenly spread: neighbours are often frames of one video."""
    every = max(1, total // max(1, images))
    for index, (sample, result) in enumerate(results):
        if index % every == 0 and len(rows) < images:
            rows.append(picture_row(sample, result))
        yield sample, result


def picture_row(sample: Sample, result: dict | Tensor, instance_threshold: float = 0.5) -> GridRow:
    """An image's row in the grid; of a large image every k-th pixel, so that rows can be kept for a while."""
    id_map = torch.from_numpy(flatten_planes(sample.id_map.numpy()))
    truth = Segmentation(id_map, dict(zip(sample.segment_ids.tolist(), sample.class_labels.tolist(), strict=True)))
    prediction = drawable(result, tuple(id_map.shape), instance_threshold)
    step = max(1, max(id_map.shape) // PICTURE_SIDE)
    maps = [Segmentation(part.id_map[::step, ::step].clone(), part.classes) for part in (truth, prediction)]
    return GridRow(sample.image[:, ::step, ::step].clone(), *maps)


def drawable(result: dict | Tensor, size: tuple[int, int], instance_threshold: float) -> Segmentation:
    """A result of any task as segments; of overlapping instances the best shows."""
    if isinstance(result, Tensor):
        return Segmentation(result, {label: label for label in result.unique().tolist() if label >= 0})
    if "rles" not in result:
        return Segmentation.of_result(result)
    painted = torch.full(size, -1, dtype=torch.int32)
    shown = [i for i in result["scores"].argsort().tolist() if result["scores"][i] >= instance_threshold]
    for i in shown:
        painted[torch.from_numpy(coco_mask.decode(result["rles"][i])).bool()] = i
    return Segmentation(painted, {i: result["labels"][i].item() for i in sorted(shown)})


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


def score_tables(scores: Mapping[str, Any], labels: Labels) -> str:
    """The scores of a metric: over all classes (and things and stuff, or sizes), and by class.

    Args:
        scores: what a metric's `compute` gives.
        labels: the task's classes.
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
    return overall + "\n\n" + table("class", names, dict(zip(labels.names, by_class, strict=True)))
