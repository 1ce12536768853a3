"""What a run shows a person when it is done: a picture of predictions and a table of scores."""

import itertools
import json
from pathlib import Path

from eomt.image_processing.pictures import GridRow, Segmentation, picture_grid
from eomt.train_scripts.trainer import EomtTrainer


def draw_predictions(trainer: EomtTrainer, path: str | Path, images: int = 6) -> None:
    """Writes a grid of the first evaluation images, with truth and prediction.

    Args:
        trainer: with an evaluation stream.
        path: of the PNG.
        images: rows of the grid.
    """
    predictions = trainer.predictions(trainer.eval_dataset)
    pairs = itertools.chain.from_iterable(zip(batch["samples"], results, strict=True) for batch, results in predictions)
    rows = []
    for sample, result in itertools.islice(pairs, images):
        truth = Segmentation(sample.id_map, dict(zip(sample.segment_ids.tolist(), sample.class_labels.tolist(), strict=True)))
        rows.append(GridRow(sample.image, truth, Segmentation.of_result(result)))
    names = trainer.model.config.id2label
    picture_grid(rows, path, [names[label] for label in range(len(names))], trainer.things)


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
