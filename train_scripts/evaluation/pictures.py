"""Pictures of images beside their truth and their prediction, for every task.

Shapes: H, W pixels of an image at its own size.
"""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch

from eomt.image_processing.pictures import GridRow, Segmentation, picture_grid
from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.planes import flatten_planes
from eomt.train_scripts.data.samples import Sample
from eomt.train_scripts.evaluation.tasks import Result, Task

PICTURE_SIDE = 640  # pixels, the least long side to which larger images are reduced


def draw_predictions(
    results: Iterable[tuple[Sample, Result]], task: Task, labels: Labels, path: str | Path, images: int = 6
) -> None:
    """Writes a grid of the first images with truth and prediction, and a legend.

    Args:
        results: as `eomt.train_scripts.evaluation.inference.predictions` yields them.
        task: what is predicted.
        labels: the task's classes.
        path: of the PNG.
        images: rows of the grid.
    """
    rows = [picture_row(task, *pair) for pair in itertools.islice(results, images)]
    picture_grid(rows, path, labels.names, labels.isthing)


def keep_rows(
    results: Iterable[tuple[Sample, Result]], task: Task, rows: list[GridRow], images: int, total: int
) -> Iterator[tuple[Sample, Result]]:
    """Passes `total` results on, and adds `images` of them to `rows`, evenly spread: neighbours are often frames of one video."""
    every = max(1, total // max(1, images))
    for index, (sample, result) in enumerate(results):
        if index % every == 0 and len(rows) < images:
            rows.append(picture_row(task, sample, result))
        yield sample, result


def picture_row(task: Task, sample: Sample, result: Result) -> GridRow:
    """An image's row in the grid; of a large image every k-th pixel, so that rows can be kept for a while."""
    id_map = torch.from_numpy(flatten_planes(sample.id_map.numpy()))  # (H, W)
    truth = Segmentation(id_map, dict(zip(sample.segment_ids.tolist(), sample.class_labels.tolist(), strict=True)))
    step = max(1, max(id_map.shape) // PICTURE_SIDE)
    shown = (truth, task.drawn(result, tuple(id_map.shape)))
    maps = [Segmentation(part.id_map[::step, ::step].clone(), part.classes) for part in shown]
    return GridRow(sample.image[:, ::step, ::step].clone(), *maps)
