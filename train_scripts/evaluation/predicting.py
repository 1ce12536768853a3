"""Predicts on many images, and writes what other tools read."""

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from torch import Tensor

from eomt.configuration import EomtBaseConfig
from eomt.image_processing.defaults import THRESHOLD
from eomt.token_merging import merge_tokens
from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.command_line import takes_options
from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.image_sources import ImageStream, NamedImage, open_source
from eomt.train_scripts.data.window_limit import within_limit
from eomt.train_scripts.evaluation.category_ids import Category, categories_of, read_categories
from eomt.train_scripts.evaluation.confidence_maps import WithConfidence
from eomt.train_scripts.evaluation.inference import predictions
from eomt.train_scripts.evaluation.inference_options import PredictOptions
from eomt.train_scripts.evaluation.joint_prediction import TaskModel, joint_predictions, share_processing
from eomt.train_scripts.evaluation.loading import class_names, load_model, load_processor, pass_dtype, stored_model
from eomt.train_scripts.evaluation.merging import merging_method
from eomt.train_scripts.evaluation.precision import NAMES, autocast
from eomt.train_scripts.evaluation.prediction_files import PredictionFiles
from eomt.train_scripts.evaluation.prediction_formats import BravoFormat
from eomt.train_scripts.evaluation.tasks import Result, task_of
from eomt.train_scripts.evaluation.views import with_views

MODEL_SUFFIXES = (".json", ".safetensors", ".bin", ".onnx", ".data", ".xml", ".pte", ".pt2")

logger = logging.getLogger(__name__)


@takes_options(PredictOptions)
def predict(options: PredictOptions) -> dict[str, int]:
    """Predicts all images that are not done; with several processes each its share, with the same results.

    Returns:
        `predicted` in this run, `done` before, and `broken`, over all processes.

    Raises:
        ValueError: an argument is wrong, or the output folder has something else.
    """
    state = PartialState(cpu=not torch.accelerator.is_available())
    outputs = {options.output: (options.task, options.checkpoint)}
    for also in options.also:
        task, checkpoint = also.split("=", 1)
        outputs[f"{options.output.rstrip('/')}_{Path(checkpoint).name}"] = (task, checkpoint)
    categories = read_categories(options.categories)
    source = open_source(options.images, options.split, options.column, without=[Path(output) for output in outputs])
    if source.left_out and state.is_main_process:
        logger.warning(
            "left out: %d files that are no images by their suffix, such as %s", len(source.left_out), source.left_out[0]
        )
    runs = {output: _run_of(options, categories, checkpoint, task, output, state) for output, (task, checkpoint) in outputs.items()}
    if len(runs) > 1:
        share_processing(runs)
    state.wait_for_everyone()  # all have looked at the folders before one writes to them
    if state.is_main_process:
        for run in runs.values():
            run.files.start()
    state.wait_for_everyone()

    def is_done(name: str) -> bool:
        return all(run.files.is_done(name) for run in runs.values())

    processor = next(iter(runs.values())).processor
    stream = ImageStream(source, within_limit(processor), is_done, state.num_processes, state.process_index, options.threads)
    predicted, unwritten = 0, {}
    for image, results in _results(runs, stream, options, state):
        try:
            for output, (result, confidences) in results.items():
                runs[output].files.add(image, result, confidences)
            predicted += 1
        except BadSample as error:
            unwritten[image.image_id] = str(error)
    counts = gather_object([(predicted, stream.finished, stream.broken | unwritten)])  # of each process
    broken = {name: reason for _, _, reasons in counts for name, reason in reasons.items()}
    if state.is_main_process:
        for output, run in runs.items():
            run.files.join()
            _report_broken(Path(output), broken)
    totals = [sum(column) for column in zip(*[(new, before) for new, before, _ in counts], strict=True)]
    return {"predicted": totals[0], "done": totals[1], "broken": len(broken)}


@dataclass
class _Run(TaskModel):
    """A model, where its predictions go, and the format of its autocast."""

    files: PredictionFiles
    dtype: torch.dtype


def _run_of(
    options: PredictOptions,
    categories: dict[str, Category] | None,
    given: str,
    task_name: str,
    output: str,
    state: PartialState,
) -> _Run:
    """Loads a checkpoint, and checks its output folder."""
    task, method = task_of(task_name).of_files(), merging_method(options)
    checkpoint = stored_model(given)
    dtype = pass_dtype(checkpoint, state.device, options.bf16)
    model = load_model(checkpoint, options.masked, options.attn_implementation, options.trust_remote_code).to(state.device)
    if method is not None:
        merge_tokens(model, method)
    names = class_names(model)
    category_ids, things = categories_of(names, categories, options.categories)
    processor = load_processor(checkpoint, task, min(model.config.image_size_hw), Labels(names, things))
    stuff = set(processor.stuff_classes)
    labels = Labels(names, [index not in stuff for index in range(len(names))])
    plan = {
        "checkpoint": given,
        "version": _version(checkpoint, model.config),
        "threshold": _threshold(options),
        "masked": bool(model.attn_mask_probs.all()),
        "confidence": options.confidence,
        "format": options.format,
        "precision": NAMES[dtype],
        "images": options.images,
        "split": options.split,
        "column": options.column,
        "merge_tokens": repr(method) if method else None,
        "tiles": options.tiles,
        "mirror": options.mirror,
        "scales": options.scales,
    }
    if options.also:  # they decide how images are processed
        plan["together"] = [f"{options.task}={options.checkpoint}", *options.also]
    form = (BravoFormat if options.format == "bravo" else task.prediction_format)(Path(output), labels, category_ids)
    files = PredictionFiles(output, task, labels, form, plan, options.overlays)
    processor = with_views(processor, options)
    return _Run(model.eval(), processor, WithConfidence(task, options.confidence), files, dtype)


def _threshold(options: PredictOptions) -> float:
    return THRESHOLD if options.threshold is None else options.threshold


def _results(
    runs: Mapping[str, _Run], stream: ImageStream, options: PredictOptions, state: PartialState
) -> Iterator[tuple[NamedImage, dict[str, tuple[Result, dict[str, Tensor]]]]]:
    """Each image with {output folder: result and confidences}."""
    dtype, show = next(iter(runs.values())).dtype, state.is_main_process
    context = partial(autocast, state.device, dtype)
    if len(runs) > 1:
        yield from joint_predictions(runs, stream, options.batch_size, _threshold(options), context, show)
        return
    ((output, run),) = runs.items()
    for image, result in predictions(
        run.model, run.processor, stream, run.task, options.batch_size, _threshold(options), context, show_progress=show
    ):
        yield image, {output: result}


def _version(checkpoint: str, config: EomtBaseConfig) -> str | dict[str, list[int]] | None:
    """What tells a checkpoint from an earlier one of the same name: size and time of its files, or the Hub's commit."""
    if not Path(checkpoint).is_dir():
        return getattr(config, "_commit_hash", None)
    files = sorted(path for path in Path(checkpoint).iterdir() if path.suffix in MODEL_SUFFIXES)
    names = ("config", "model", "pytorch_model", "openvino", "preprocessor", "adapter")
    stored = [path for path in files if path.name.startswith(names)]
    return {path.name: [path.stat().st_size, path.stat().st_mtime_ns] for path in stored}


def _report_broken(output: Path, broken: dict[str, str]) -> None:
    path = output / "broken.json"
    if broken:
        path.write_text(json.dumps(dict(sorted(broken.items())), indent=1))
    else:
        path.unlink(missing_ok=True)
