"""Scores a checkpoint on a prepared dataset."""

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import gather_object

from eomt.image_processing.pictures import picture_grid
from eomt.train_scripts.data.command_line import takes_options
from eomt.train_scripts.data.dataset_folder import Labels, read_labels
from eomt.train_scripts.data.evaluation_stream import evaluation_stream
from eomt.train_scripts.evaluation.inference import predictions, score_predictions
from eomt.train_scripts.evaluation.inference_options import PICTURED, ScoreOptions
from eomt.train_scripts.evaluation.loading import check_classes, class_names, load_model, load_processor, stored_model
from eomt.train_scripts.evaluation.pictures import keep_rows
from eomt.train_scripts.evaluation.precision import NAMES, autocast, chosen_dtype
from eomt.train_scripts.evaluation.tasks import task_of


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
        used = {"precision": NAMES[dtype], "masked": bool(model.attn_mask_probs.all())}  # also where they were not given
        content = {**chosen, **used, **scores, "classes": labels.names}
        Path(options.output).write_text(json.dumps(content, indent=1, default=str))  # paths as text
    return scores, labels
