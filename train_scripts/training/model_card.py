"""The model card of a run: README.md in its output folder, with data, recipe, scores, curves and how to load the model.

Names only, never paths, hosts or tokens: the card is made to be published.
"""

import dataclasses
import json
import os
import re
from collections.abc import Mapping, Sequence
from enum import Enum
from importlib.metadata import version
from pathlib import Path
from typing import Any

import timm
import torch
import yaml
from huggingface_hub import EvalResult, ModelCardData

from eomt.configuration import MODEL_TYPES, EomtConfig
from eomt.model_cards.rendering import render_card, runs_in_transformers
from eomt.train_scripts.data.dataset_folder import Labels, count_rows
from eomt.train_scripts.evaluation.score_names import score_name
from eomt.train_scripts.training.adapters import FOLDER as ADAPTER
from eomt.train_scripts.training.adapters import AdapterDescription
from eomt.train_scripts.training.arguments import EomtTrainingArguments
from eomt.train_scripts.training.curves import draw_curves
from eomt.train_scripts.training.data_arguments import DataArguments
from eomt.train_scripts.training.model_arguments import ModelArguments
from eomt.train_scripts.training.overlays import FILE as PICTURE

CURVES = "curves.png"
HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
# Options that say where a run reads, writes and reports, or that others imply: not the recipe.
NO_RECIPE = {"checkpoint", "timm_model", "data", "output_dir", "license", "disable_tqdm", "use_cpu", "run_name", "project"}
NO_RECIPE |= {
    "push_to_hub",
    "overwrite",
    "resume_from_checkpoint",
    "report_to",
    "gradient_accumulation_steps",
    "accelerator_config",
}
NO_RECIPE |= {"dataloader_pin_memory", "do_eval", "trackio_space_id"}
NO_RECIPE |= {"gradient_checkpointing", "gradient_checkpointing_kwargs"}  # transformers mirrors activation_checkpointing in them
PATH = re.compile(r"""(^|[\s"'=:,])[/~]|\\""")  # absolute or of a home, alone or inside a text
# Of a run's measurements, what isn't a score.
NO_SCORES = ("runtime", "per_second", "loss", "compilation_time")


@dataclasses.dataclass(frozen=True)
class RunDescription:
    """
    What a model card says of a run, beside what the run has logged.

    Args:
        labels: the model's classes.
        task: semantic, instance or panoptic.
        args, model_args, data_args: the run's options; without the last two the card leaves start and data out.
        model_type: of the model's configuration.
        resumed: whether the run was interrupted: its log has the duration of the last part alone, and the card has none.
        adapters: that were trained, if any.
    """

    labels: Labels
    task: str
    args: EomtTrainingArguments
    model_args: ModelArguments | None = None
    data_args: DataArguments | None = None
    model_type: str = EomtConfig.model_type
    resumed: bool = False
    adapters: AdapterDescription | None = None


def write_model_card(
    folder: str | Path,
    run: RunDescription,
    *,
    name: str | None = None,
    model_id: str | None = None,
    license: str | None = None,
    base_model: str | None = None,
    dataset: str | None = None,
    tags: str | Sequence[str] | None = None,
    **metadata: Any,
) -> Path:
    """Writes README.md and curves.png from the `trainer_state.json` of a run; picture.png is shown if the folder has one.

    Args:
        folder: the run's output.
        run: what is described.
        name: of the model; the folder's by default.
        model_id: Hub name to load the model by.
        license: identifier of the model's licence, such as apache-2.0.
        base_model: Hub name of the start; that of `model_args` by default.
        dataset: name of the dataset; that of its folder by default.
        tags: of the model's page, beside the usual ones.
        metadata: further fields of [`ModelCardData`].

    Returns:
        The card's path.
    """
    folder = Path(folder)
    state = json.loads((folder / "trainer_state.json").read_text())
    name = name or folder.resolve().name
    start, hub_start = describe_start(run.model_args) if run.model_args else ("not recorded", None)
    base_model = base_model or hub_start
    if dataset is None and run.data_args is not None:
        dataset = Path(run.data_args.data).resolve().name
    split = run.data_args.eval_split if run.data_args else None
    scores, _ = scores_of(state["log_history"])
    card = render_card(
        _metadata(
            run.task, scores, dataset, split, _tags(tags, run), model_name=name, license=license, base_model=base_model, **metadata
        ),
        title=name,
        introduction=_introduction(run.task, run.labels, run.model_type),
        model_type=run.model_type,
        sections=_sections(folder, run, state, start, dataset, split),
        model_id=model_id or f"path/to/{name}",
        task=run.task,
        limits="Trained and scored on the data above and on nothing else: expect less on other images, and check before relying "
        "on it.",
        licence=_licence(license, base_model),
    )
    card.save(folder / "README.md")
    return folder / "README.md"


def _sections(
    folder: Path, run: RunDescription, state: Mapping[str, Any], start: str, dataset: str | None, split: str | None
) -> dict[str, str]:
    """{heading: text}; the curves are drawn for theirs."""
    scores, before = scores_of(state["log_history"])
    chosen = run.args.load_best_model_at_end and state["best_model_checkpoint"] is not None
    options = [options for options in (run.model_args, run.data_args, run.args) if options]
    sections = {
        "Scores": _score_section(scores, before, dataset, split, chosen) if scores else "Not evaluated.",
        "Data": _data_section(run.labels, dataset, run.data_args),
        "Recipe": _recipe_section(state, run, start, options),
    }
    if run.adapters:
        sections["Adapter"] = _adapter_section(run.adapters)
    if draw_curves(state["log_history"], folder / CURVES):
        sections["Curves"] = f"![Loss terms, learning rates, masking probabilities and scores over the steps]({CURVES})"
    if (folder / PICTURE).is_file():
        sections["Predictions"] = f"![Images, truths and predictions]({PICTURE})"
    return sections


def describe_start(model_args: ModelArguments) -> tuple[str, str | None]:
    """What a model was trained from, in words, and its Hub name if it has one. Files and folders stay unnamed."""
    if model_args.checkpoint:
        local = os.path.exists(model_args.checkpoint) or not HUB_NAME.fullmatch(model_args.checkpoint)
        return ("a checkpoint on disk", None) if local else (f"`{model_args.checkpoint}`", model_args.checkpoint)
    if model_args.timm_model:
        if not HUB_NAME.fullmatch(model_args.timm_model) or model_args.timm_model.endswith(".safetensors"):
            return "a ViT on disk, with timm's names", None
        known = timm.get_pretrained_cfg(model_args.timm_model)
        return f"timm's `{model_args.timm_model}`", known.hf_hub_id if known else None
    return "random weights", None


def scores_of(log_history: Sequence[Mapping[str, Any]]) -> tuple[dict[str, float], dict[str, float]]:
    """{metric: value} of the last evaluation, and of one before the first step, which may be missing.

    Left out are times, losses, and the -1 of a score that doesn't exist, such as AP of large objects where there are none.
    """
    after, before = {}, {}
    for entry in log_history:
        scores = {name.removeprefix("eval_"): value for name, value in entry.items() if name.startswith("eval_")}
        scores = {name: value for name, value in scores.items() if not name.endswith(NO_SCORES) and value >= 0}
        if scores and entry["step"] == 0:
            before = scores
        elif scores:
            after = scores
    return after, before


def recipe_options(options: Sequence[Any]) -> dict[str, Any]:
    """The options that differ from their defaults, without names of places, hosts and accounts.

    Args:
        options: dataclasses of options.
    """
    chosen = {}
    for group in options:
        for field in dataclasses.fields(group):
            default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
            value = getattr(group, field.name)
            value = value.value if isinstance(value, Enum) else value
            private = field.name in NO_RECIPE or field.name.startswith("hub_") or PATH.search(str(value))
            if field.init and not private and (value or default) and value != default:
                chosen[field.name] = value
    if "minutes" in chosen:
        chosen.pop("max_steps", None)  # a number that is never reached
    if "config" in chosen:
        chosen["config"] = json.loads(chosen["config"])
    return {name: value if isinstance(value, int | float | bool | list | dict) else str(value) for name, value in chosen.items()}


def _metadata(
    task: str,
    scores: Mapping[str, float],
    dataset: str | None,
    split: str | None,
    tags: Sequence[str],
    **fields: Any,
) -> ModelCardData:
    """The card's head, with the scores as the Hub lists them; `fields` are further ones of it."""
    results = [
        EvalResult(
            task_type="image-segmentation",
            task_name=f"{task} segmentation",
            dataset_type=re.sub(r"\W+", "-", dataset or "unnamed").lower(),
            dataset_name=dataset or "unnamed",
            dataset_split=split or None,
            metric_type=metric,
            metric_name=score_name(metric),
            metric_value=round(value, 2),
        )
        for metric, value in scores.items()
    ]
    return ModelCardData(
        library_name="transformers",
        pipeline_tag="image-segmentation",
        tags=["eomt", f"{task}-segmentation", *tags],
        eval_results=results or None,
        **fields,
    )


def _tags(given: str | Sequence[str] | None, run: RunDescription) -> list[str]:
    """Those of the model's page beside the usual ones."""
    return [*([run.adapters.kind.lower()] if run.adapters else []), *([given] if isinstance(given, str) else given or [])]


def _introduction(task: str, labels: Labels, model_type: str) -> str:
    config = MODEL_TYPES[model_type]
    own_format = ", in the format of transformers' own EoMT" * runs_in_transformers(model_type)
    return (
        f"{config.title} for {task} segmentation into {len(labels)} classes: {config.description}. Trained and written by "
        "`eomt-transformers`" + own_format + "."
    )


def _score_section(
    scores: Mapping[str, float], before: Mapping[str, float], dataset: str | None, split: str | None, chosen: bool
) -> str:
    """`chosen` says whether the scored images chose the checkpoint."""
    columns = ["before training", "after"] if before else ["value"]
    rows = [f"| metric (%) | {' | '.join(columns)} |", "| --- |" + " --- |" * len(columns)]
    for metric, value in scores.items():
        values = [before[metric], value] if metric in before else [value]
        rows.append(f"| {score_name(metric)} | " + " | ".join(f"{number:.1f}" for number in values) + " |")
    notes = [f"Measured on the split `{split}` of {dataset}, at the images' own size."] if split else []
    notes += ["The model is the checkpoint of the run that scored best on these same images, which flatters it."] if chosen else []
    notes += ["AP is of the 100 best instances of an image, AP all of all that are found."] if "ap_all" in scores else []
    return "\n\n".join(filter(None, [" ".join(notes), "\n".join(rows)]))


def _data_section(labels: Labels, dataset: str | None, data_args: DataArguments | None) -> str:
    lines = [f"Dataset: {dataset or 'not recorded'}."]
    if data_args is not None:
        splits = {"training": data_args.train_split, "evaluation": data_args.eval_split}
        lines += ["", "| use | split | images |", "| --- | --- | --- |"]
        lines += [f"| {use} | {name} | {count_rows(data_args.data, name)} |" for use, name in splits.items() if name]
    groups = {True: "Things", False: "Stuff"}
    for isthing, group in groups.items():
        names = [label for label, thing in zip(labels.names, labels.isthing, strict=True) if thing == isthing]
        if names:
            lines += ["", f"{group} ({len(names)}): {', '.join(names)}."]
    return "\n".join(lines)


def _recipe_section(state: Mapping[str, Any], run: RunDescription, start: str, options: Sequence[Any]) -> str:
    args = run.args
    steps, batch = state["global_step"], args.total_batch_size
    seconds = [entry["train_runtime"] for entry in state["log_history"] if "train_runtime" in entry]
    duration = f" in {seconds[-1] / 60:.1f} minutes, evaluations included" if seconds and not run.resumed else ""
    cuda = args.device.type == "cuda"
    device = (
        torch.cuda.get_device_name(args.device) if cuda else f"{args.device.type.upper()}, {torch.get_num_threads()} threads each"
    )
    recipe = yaml.safe_dump(recipe_options(options), sort_keys=True, default_flow_style=None, width=110).strip()
    return (
        f"Started from {start}. {steps} steps of {batch} images ({steps * batch} images){duration}, on {args.world_size} "
        f"process{'es' if args.world_size > 1 else ''} ({device}), torch {torch.__version__.split('+')[0]}, transformers "
        f"{version('transformers')}.\n\nThe options that differ from the defaults, as a recipe file:\n\n```yaml\n{recipe}\n```"
    )


def _adapter_section(adapters: AdapterDescription) -> str:
    return (
        f"Trained by {adapters.kind}: {adapters.trained:,} of {adapters.total:,} parameters. The model of this page has the "
        f"adapter merged into its weights and needs no PEFT. The adapter by itself, in PEFT's format, is in `{ADAPTER}`."
    )


def _licence(license: str | None, base_model: str | None) -> str:
    stated = f"`{license}`, as given by who trained it." if license else "Not stated by who trained it."
    return (
        f"{stated} The licences of {f'the base model `{base_model}`' if base_model else 'what it started from'} and of the data "
        + ("hold as well, and were not checked here.")
    )
