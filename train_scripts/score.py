"""Scores an EoMT checkpoint, of this package or of transformers, on a prepared dataset.

    eomt-score --checkpoint outputs/street --data data/street --split val --task semantic --output scores.json --picture grid.png
    accelerate launch -m eomt.train_scripts.score --checkpoint ... --data ... --task ...     (several GPUs)

The model is scored without masked attention (`--masked`: with it), in float32. A pixel's class may be one whose score is lower
than the best by .001, which makes maps much faster; `--tolerance 0` gives exact ones. The image processor is the checkpoint's own,
or the task's where it has none.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import gather_object

from eomt import EomtForUniversalSegmentation, EomtImageProcessor
from eomt.image_processing.defaults import THRESHOLD
from eomt.image_processing.pictures import picture_grid
from eomt.train_scripts.data.dataset_folder import Labels, read_labels
from eomt.train_scripts.data.evaluation_stream import evaluation_stream
from eomt.train_scripts.data.samples import BAD_SAMPLES
from eomt.train_scripts.evaluation.inference import SCORE_TOLERANCE, predictions, score_predictions
from eomt.train_scripts.evaluation.reporting import keep_rows, score_tables
from eomt.train_scripts.evaluation.tasks import TASKS, make_metric, task_labels, task_processor

PICTURED = 6  # images


def load_model(checkpoint: str, labels: Labels) -> EomtForUniversalSegmentation:
    """A whole checkpoint with the dataset's classes, unmasked; as [`load_any_model`], and ValueError if its classes are others."""
    model = load_any_model(checkpoint)
    check_classes([model.config.id2label[index] for index in range(model.config.num_labels)], labels.names, checkpoint)
    return model


def load_any_model(checkpoint: str) -> EomtForUniversalSegmentation:
    """A whole checkpoint, unmasked.

    Raises:
        OSError: there is no such checkpoint.
        ValueError: weights are missing in it.
    """
    try:
        model, loaded = EomtForUniversalSegmentation.from_pretrained(checkpoint, dtype=torch.float32, output_loading_info=True)
    except OSError as error:
        raise OSError(f"checkpoint={checkpoint!r} is no folder with a model and didn't load from the Hub: {error}") from error
    # transformers' own checkpoints lack buffers that are only for training
    if missing := sorted(set(loaded["missing_keys"]) & {name for name, _ in model.named_parameters()}):
        raise ValueError(f"checkpoint={checkpoint!r} lacks the weights {missing[:5]}; give a complete EoMT checkpoint")
    model.set_attn_mask_probs([0.0] * model.config.num_blocks)
    return model


def check_classes(own: Sequence[str], names: Sequence[str], checkpoint: str) -> None:
    """Raises ValueError, saying which differ, unless the checkpoint's class names are the dataset's, in their order."""
    if list(own) == list(names):
        return
    lacks, more = sorted(set(names) - set(own)), sorted(set(own) - set(names))
    place = next((i for i, (a, b) in enumerate(zip(own, names, strict=False)) if a != b), min(len(own), len(names)))
    differ = f"it lacks {lacks[:10]} and has {more[:10]} besides" if lacks or more else "their order differs"
    raise ValueError(
        f"checkpoint={checkpoint!r} has {len(own)} classes, the data {len(names)} for this task: {differ}, from index {place} on. "
        "Score it on data with the classes it was trained on (of instance segmentation the things alone)."
    )


def load_processor(checkpoint: str, task: str, image_size: int, labels: Labels) -> EomtImageProcessor:
    """The checkpoint's image processor, or the task's.

    Raises:
        ValueError: the checkpoint's cuts windows, across which the task's instances can't be told apart.
    """
    try:
        processor = EomtImageProcessor.from_pretrained(checkpoint)
    except OSError:  # there is none: the model has been loaded, so the checkpoint is there
        return task_processor(task, image_size, labels)
    if processor.stuff_classes is None:  # transformers' own has no such field; without it, stuff of several queries isn't merged
        processor.stuff_classes = [index for index, isthing in enumerate(labels.isthing) if not isthing]
    if processor.do_split_image and task != "semantic":
        raise ValueError(
            f"checkpoint={checkpoint!r} cuts images into windows (do_split_image), across which segments can't be told apart; "
            f"task={task!r} needs a padded image processor: set do_split_image to false in its preprocessor_config.json"
        )
    return processor


def score(
    checkpoint: str,
    data: str | Path,
    split: str,
    task: str,
    batch_size: int = 1,
    threshold: float = THRESHOLD,
    boundary: bool = False,
    picture: str | Path | None = None,
    bad_samples: str = "raise",
    masked: bool = False,
    tolerance: float = SCORE_TOLERANCE,
) -> tuple[dict[str, Any], Labels]:
    """Scores a checkpoint; with several processes each scores its share, and all return the joint scores.

    Args:
        checkpoint: a folder or a Hub name.
        data, split: a dataset in the form of `eomt.train_scripts.data.dataset_folder`.
        task: one of `TASKS`.
        batch_size: images a process and forward pass.
        threshold: class score a query needs to become a segment (panoptic).
        boundary: gives boundary AP as well (instance).
        picture: of a few images with truth and prediction, written here by the first process.
        bad_samples: "raise", or "skip" to score without the images that can't be used.
        masked: masks the last L2 blocks, for a model that was trained with `masking` "always".
        tolerance: a pixel's class may be one whose score is lower than the best by no more (semantic); 0 gives exact maps.

    Returns:
        What the task's metric computes, with `skipped`, the reasons of images left out, if there are any; and the task's classes.
    """
    if not 0 <= tolerance < 1:
        raise ValueError(f"tolerance={tolerance} must lie in 0..1, as class scores do; 0 gives exact maps")
    if picture:
        Path(picture).parent.mkdir(parents=True, exist_ok=True)
    state = PartialState(cpu=not torch.accelerator.is_available())
    labels = task_labels(read_labels(data), task)
    metric = make_metric(task, labels, boundary)
    model = load_model(checkpoint, labels).to(state.device)
    model.set_attn_mask_probs([float(masked)] * model.config.num_blocks)
    processor = load_processor(checkpoint, task, min(model.config.image_size_hw), labels)
    stream = evaluation_stream(data, split, processor, state.num_processes, state.process_index, task, bad_samples)
    results = predictions(
        model, processor, stream, task, batch_size, threshold, show_progress=state.is_main_process, tolerance=tolerance
    )
    rows = []
    if picture and state.is_main_process:
        results = keep_rows(results, rows, PICTURED, len(stream))
    scores = score_predictions(results, metric)
    if skipped := gather_object(stream.skipped):
        scores["skipped"] = sorted(skipped)
    if rows:
        picture_grid(rows, picture, labels.names, labels.isthing)
    return scores, labels


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Scores an EoMT checkpoint on a prepared dataset.")
    parser.add_argument("--checkpoint", required=True, help="EoMT checkpoint, a folder or a Hub name")
    parser.add_argument("--data", required=True, help="folder of parquet shards and labels.json")
    parser.add_argument("--split", default="val", help="prefix of the shards to score")
    parser.add_argument("--task", required=True, choices=TASKS)
    parser.add_argument("--batch_size", type=int, default=1, help="images a process and forward pass")
    parser.add_argument(
        "--threshold", type=float, default=THRESHOLD, help="class score that a query needs to become a segment (panoptic)"
    )
    parser.add_argument("--boundary", action="store_true", help="boundary AP as well (instance)")
    parser.add_argument("--bad_samples", choices=BAD_SAMPLES, default="raise", help="images that can't be used: stop, or leave out")
    parser.add_argument("--masked", action="store_true", help="with masked attention, for a model trained with --masking always")
    parser.add_argument(
        "--tolerance", type=float, default=SCORE_TOLERANCE, help="of class scores in maps of classes; 0 is exact and slower"
    )
    parser.add_argument("--output", help="JSON file for the scores")
    parser.add_argument("--picture", help=f"PNG for a grid of {PICTURED} images over the split, truths and predictions")
    args = parser.parse_args(argv)
    if args.output:
        Path(args.output).parent.mkdir(parents=True, exist_ok=True)
    options = {name: value for name, value in vars(args).items() if name != "output"}
    scores, labels = score(**options)
    if PartialState().is_main_process:
        print(score_tables(scores, labels))
        if "skipped" in scores:
            print(f"\nscored without {len(scores['skipped'])} images that can't be used, such as {scores['skipped'][0]}")
        if args.output:
            Path(args.output).write_text(json.dumps({**options, **scores, "classes": labels.names}, indent=1))
    PartialState().destroy_process_group()  # threads of it that are left may abort the process at its end


if __name__ == "__main__":
    main()
