"""Scores a checkpoint on a prepared dataset."""

import json
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import gather_object

from eomt.image_processing.defaults import THRESHOLD
from eomt.image_processing.pictures import picture_grid
from eomt.train_scripts.data.command_line import takes_options
from eomt.train_scripts.data.dataset_folder import Labels, read_labels
from eomt.train_scripts.data.evaluation_stream import evaluation_stream
from eomt.train_scripts.data.samples import BAD_SAMPLES
from eomt.train_scripts.evaluation import inference_options
from eomt.train_scripts.evaluation.inference import SCORE_TOLERANCE, predictions, score_predictions
from eomt.train_scripts.evaluation.loading import check_classes, class_names, load_model, load_processor, stored_model
from eomt.train_scripts.evaluation.pictures import keep_rows
from eomt.train_scripts.evaluation.precision import NAMES, autocast, chosen_dtype
from eomt.train_scripts.evaluation.tasks import task_of

PICTURED = 6  # images


@dataclass
class ScoreOptions:
    """What is scored, and how."""

    checkpoint: str = field(metadata=inference_options.CHECKPOINT)
    data: str = field(metadata={"help": "folder of parquet shards and labels.json"})
    split: str = field(metadata={"help": "prefix of the shards to score", "default": "val"})
    task: str = field(metadata=inference_options.TASK)
    batch_size: int = field(default=1, metadata=inference_options.BATCH_SIZE)
    threshold: float = field(default=THRESHOLD, metadata=inference_options.THRESHOLD)
    boundary: bool = field(default=False, metadata={"help": "boundary AP as well (instance)"})
    picture: str | None = field(
        default=None, metadata={"help": f"PNG for a grid of {PICTURED} images over the split, with truths and predictions"}
    )
    bad_samples: str = field(
        default="raise", metadata={"help": "images that can't be used: stop, or leave out and count", "choices": list(BAD_SAMPLES)}
    )
    bf16: bool | None = field(default=None, metadata=inference_options.BF16)
    attn_implementation: str = field(default="sdpa", metadata=inference_options.ATTENTION)
    masked: bool = field(default=False, metadata=inference_options.MASKED)
    tolerance: float = field(
        default=SCORE_TOLERANCE,
        metadata={
            "help": "a pixel's class may be one whose score is lower than the best by this (semantic); 0 is exact and slower"
        },
    )
    output: str | None = field(default=None, metadata={"help": "JSON file for the scores and the options"})

    def __post_init__(self):
        task_of(self.task)  # raises for an unknown name
        if not 0 <= self.tolerance < 1:
            raise ValueError(f"tolerance={self.tolerance} must lie in 0..1, as class scores do; 0 gives exact maps")


@takes_options(ScoreOptions)
def score(options: ScoreOptions) -> tuple[dict[str, Any], Labels]:
    """Scores a checkpoint; with several processes each scores its share, and all return the joint scores.

    Returns:
        What the task's metric computes, with `skipped`, the reasons of images left out, if there are any; and the task's classes.
    """
    task = task_of(options.task)
    for path in filter(None, (options.picture, options.output)):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    state = PartialState(cpu=not torch.accelerator.is_available())
    labels = task.labels(read_labels(options.data))
    metric = task.metric(labels, options.boundary)
    dtype = chosen_dtype(state.device, options.bf16)
    checkpoint = stored_model(options.checkpoint)
    model = load_model(checkpoint, options.masked, options.attn_implementation).to(state.device)
    check_classes(class_names(model), labels.names, checkpoint)
    processor = load_processor(checkpoint, task, min(model.config.image_size_hw), labels)
    stream = evaluation_stream(
        options.data,
        options.split,
        processor,
        state.num_processes,
        state.process_index,
        task.sample,
        options.bad_samples,
    )
    results = predictions(
        model,
        processor,
        stream,
        task,
        options.batch_size,
        options.threshold,
        partial(autocast, state.device, dtype),
        show_progress=state.is_main_process,
        tolerance=options.tolerance,
    )
    rows = []
    if options.picture and state.is_main_process:
        results = keep_rows(results, task, rows, PICTURED, len(stream))
    scores = score_predictions(results, metric)
    if skipped := gather_object(stream.skipped):
        scores["skipped"] = sorted(skipped)
    if rows:
        picture_grid(rows, options.picture, labels.names, labels.isthing)
    if options.output and state.is_main_process:
        chosen = {name: value for name, value in asdict(options).items() if name != "output"}
        content = {**chosen, "precision": NAMES[dtype], **scores, "classes": labels.names}
        Path(options.output).write_text(json.dumps(content, indent=1, default=str))  # paths as text
    return scores, labels
