"""Scores a checkpoint on a prepared dataset."""

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import gather_object

from eomt.image_processing.defaults import THRESHOLD
from eomt.image_processing.pictures import picture_grid
from eomt.token_merging import merge_tokens
from eomt.train_scripts.data.command_line import takes_options
from eomt.train_scripts.data.dataset_folder import Labels, read_labels
from eomt.train_scripts.data.evaluation_stream import evaluation_stream
from eomt.train_scripts.evaluation.inference import score_predictions
from eomt.train_scripts.evaluation.inference_options import PICTURED, ScoreOptions, check_threshold
from eomt.train_scripts.evaluation.latency import first_images, measure_latency
from eomt.train_scripts.evaluation.loading import (
    check_classes,
    class_names,
    load_config,
    load_model,
    load_processor,
    pass_dtype,
    stored_model,
)
from eomt.train_scripts.evaluation.merging import merging_method
from eomt.train_scripts.evaluation.pictures import keep_rows
from eomt.train_scripts.evaluation.precision import NAMES, autocast
from eomt.train_scripts.evaluation.rivals import rival_class
from eomt.train_scripts.evaluation.segmenter import EomtSegmenter, Segmenter
from eomt.train_scripts.evaluation.tasks import Task, task_of
from eomt.train_scripts.evaluation.views import with_views


@takes_options(ScoreOptions)
def score(options: ScoreOptions) -> tuple[dict[str, Any], Labels]:
    """Scores a checkpoint; with several processes each scores its share, and all return the joint scores.

    Returns:
        What the task's metric computes, with `implementation`, whose code ran; `parameters`, their number; `latency`, in the first
        process, if it was asked for; and `skipped`, the reasons of images left out, if there are any. And the task's classes.
    """
    task = task_of(options.task).of_split(options.data, options.split)
    for path in filter(None, (options.picture, options.output)):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    state = PartialState(cpu=not torch.accelerator.is_available())
    data_labels = read_labels(options.data)
    labels = task.labels(data_labels)
    metric = task.metric(labels, options.boundary)
    dtype = pass_dtype(stored_model(options.checkpoint), state.device, options.bf16)
    segmenter = load_segmenter(options, task, data_labels, state.device, dtype)
    stream = evaluation_stream(
        options.data,
        options.split,
        segmenter.processor,
        state.num_processes,
        state.process_index,
        task.sample,
        options.bad_samples,
    )
    latency = {}
    if options.latency:
        if state.is_main_process:
            images = first_images(options.data, options.split, options.latency)
            latency = measure_latency({options.checkpoint: segmenter}, images)
        state.wait_for_everyone()  # the other processes would slow it
    results = segmenter.predictions(stream, state.is_main_process)
    rows = []
    if options.picture and state.is_main_process:
        results = keep_rows(results, task, rows, PICTURED, len(stream))
    scores = score_predictions(results, metric)
    scores |= {"implementation": segmenter.implementation, "parameters": segmenter.model.num_parameters()}
    for measured in latency.values():
        scores["latency"] = measured.as_dict()
    if skipped := gather_object(stream.skipped):
        scores["skipped"] = sorted(skipped)
    if rows:
        picture_grid(rows, options.picture, labels.names, labels.isthing)
    if options.output and state.is_main_process:
        chosen = {name: value for name, value in asdict(options).items() if name not in ("output", "latency")}
        # also where they were not given
        used = {"threshold": segmenter.threshold, "precision": NAMES[dtype], "masked": segmenter.masked}
        content = {**chosen, **used, **scores, "classes": labels.names}
        Path(options.output).write_text(json.dumps(content, indent=1, default=str))  # paths as text
    return scores, labels


def load_segmenter(options: ScoreOptions, task: Task, labels: Labels, device: torch.device, dtype: torch.dtype) -> Segmenter:
    """The model that options ask for, of this package or of transformers.

    Args:
        options: checkpoint, and how it is run.
        task: what is predicted.
        labels: the dataset's classes.
        device: of the model.
        dtype: of autocast.

    Raises:
        OSError: there is no such checkpoint.
        ValueError: it can't be scored here, or not on this dataset, or an option doesn't go with it.
    """
    method = merging_method(options)
    checkpoint = stored_model(options.checkpoint)
    context = partial(autocast, device, dtype)
    config = load_config(checkpoint)
    rival = rival_class(config, options, checkpoint)
    if rival is not None:
        return rival(checkpoint, config.model_type, task, labels, options.threshold, device, context)
    check_threshold(options.threshold, [options.task])
    task_labels = task.labels(labels)
    model = load_model(checkpoint, options.masked, options.attn_implementation, options.trust_remote_code).to(device).eval()
    if method is not None:
        merge_tokens(model, method)
    check_classes(class_names(model), task_labels.names, checkpoint)
    processor = load_processor(checkpoint, task, min(model.config.image_size_hw), task_labels)
    processor = with_views(processor, options)
    threshold = THRESHOLD if options.threshold is None else options.threshold
    return EomtSegmenter(model, processor, task, threshold, options.tolerance, options.batch_size, context)
