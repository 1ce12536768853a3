"""What a finished run shows a person: a picture of predictions and a table of scores."""

import itertools
import json
from collections.abc import Iterable
from pathlib import Path

from eomt.image_processing.pictures import GridRow, Segmentation, picture_grid
from eomt.train_scripts.data import Labels
from eomt.train_scripts.samples import Sample


def draw_predictions(predictions: Iterable[tuple[Sample, dict]], labels: Labels, path: str | Path, images: int = 6) -> None:
    """Writes a grid of the first images with truth and prediction.

    Args:
        predictions: as [`panoptic_predictions`] yields them.
        labels: the classes.
        path: of the PNG.
        images: rows of the grid.
    """
    rows = []
    for sample, result in itertools.islice(predictions, images):
        truth = Segmentation(sample.id_map, dict(zip(sample.segment_ids.tolist(), sample.class_labels.tolist(), strict=True)))
        rows.append(GridRow(sample.image, truth, Segmentation.of_result(result)))
    picture_grid(rows, path, labels.names, labels.isthing)


def print_scores(folder: str | Path, title: str) -> None:
    """Prints panoptic, segmentation and recognition quality before and after training.

    Args:
        folder: a run's output, with `before_results.json` and `eval_results.json`.
        title: says what was scored.
    """
    print(f"{title:<18}" + "".join(f"{name:>12}" for name in ("PQ", "SQ", "RQ", "PQ things", "PQ stuff")))
    for row, prefix in (("before training", "before"), ("after training", "eval")):
        scores = json.loads((Path(folder) / f"{prefix}_results.json").read_text())
        values = (scores[f"{prefix}_{name}"] for name in ("pq", "sq", "rq", "pq_things", "pq_stuff"))
        print(f"{row:<18}" + "".join(f"{value:12.1f}" for value in values))
