"""Writes the model card of each of the paper's architectures, from `model_cards/published.yaml` and what is measured here.

    python -m eomt.model_cards.architectures

Measured are parameters and multiply-adds, on tensors without memory, so that no weights are needed.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import yaml
from huggingface_hub import EvalResult, ModelCardData

import eomt  # noqa: F401 - registers the Auto classes
from eomt.configuration import architecture_config
from eomt.model_cards.rendering import TEMPLATE, render_card
from eomt.model_cards.sizes import count_multiply_adds, count_parameters, on_meta

FOLDER = TEMPLATE.parent
PAPER = "https://arxiv.org/abs/2503.19108"
ZOO = "https://github.com/tue-mps/eomt"
ZOO_SOURCE = "model zoo"  # where a result is from, if not from a table of the paper
DEFAULTS = dict(task="panoptic", data="COCO", metric="PQ", size=640, queries=200, classes=133, masked=False)
SPLIT = {"COCO": "val2017", "ADE20K": "val", "Cityscapes": "val"}


def published_names() -> list[str]:
    """The architectures of which something is published, each of which has a card."""
    return list(yaml.safe_load((FOLDER / "published.yaml").read_text(encoding="utf-8")))


def published(name: str) -> dict[str, Any]:
    """What is published of an architecture: `title`, `backbone`, `released` and `results`, each with all of `DEFAULTS`."""
    entry = yaml.safe_load((FOLDER / "published.yaml").read_text(encoding="utf-8"))[name]
    return {**entry, "results": [{**DEFAULTS, **result} for result in entry["results"]]}


def measure_size(name: str, size: int, queries: int, classes: int, masked: bool) -> tuple[float, float]:
    """Parameters in millions, and GFLOPs of a forward pass on one square input, see `eomt.model_cards.sizes`.

    Args:
        name: of the architecture.
        size: side of the input, pixels.
        queries, classes: of the model.
        masked: whether all of the last blocks are masked, as in the first sixth of a training.
    """
    model = on_meta(architecture_config(name, image_size=size, num_queries=queries, num_labels=classes), masked)
    return count_parameters(model) / 1e6, count_multiply_adds(model, (size, size))[""] / 1e9


def architecture_card(name: str) -> str:
    """The text of an architecture's card."""
    entry = published(name)
    backbone = timm.get_pretrained_cfg(entry["backbone"]).hf_hub_id
    metadata = ModelCardData(
        model_name=entry["title"],
        base_model=backbone,
        library_name="transformers",
        pipeline_tag="image-segmentation",
        tags=["eomt", "panoptic-segmentation"],
        eval_results=[_published_score(result) for result in entry["results"] if not result["masked"]],
    )
    config = architecture_config(name)
    in_paper = any(result["source"] != ZOO_SOURCE for result in entry["results"])
    card = render_card(
        metadata,
        title=f"{entry['title']}, " + ("an architecture of the EoMT paper" if in_paper else "released by the EoMT paper's authors"),
        introduction=f"The Encoder-only Mask Transformer on {entry['encoder']} (timm's `{entry['backbone']}`): "
        f"{config.num_hidden_layers} blocks of width {config.hidden_size}, learnable queries in the last {config.num_blocks}. "
        f'`eomt.configuration.architecture_config("{name}")` is its configuration. This card holds no weights: '
        + f"{_weights(entry)}.",
        sections={"Figures": _figures(name, entry["results"]), "Train": _training(entry)},
        model_id=entry["released"] or "outputs/coco",
        model_type=config.model_type,
        task="panoptic",
        limits=_limits(entry),
        licence="The code is Apache-2.0. The licences of the released weights, of the backbone and of the datasets are theirs, and "
        "were not checked here.",
    )
    return str(card)


def _weights(entry: Mapping[str, Any]) -> str:
    if entry["released"]:
        return f"those that the authors released are `{entry['released']}`"
    if entry.get("differences"):
        return "the authors released differences to DINOv3's, of which `eomt convert` with `--base` makes a checkpoint"
    return "none were released"


def _limits(entry: Mapping[str, Any]) -> str:
    if entry["released"]:
        return (
            f"`{entry['released']}` and the datasets could not be downloaded where this card was written. That this package "
            "reads such a checkpoint and computes what transformers computes was tested on random weights."
        )
    return (
        f"The weights of `{entry['backbone']}` and the datasets could not be downloaded where this card was written. That the "
        "encoder computes what timm's computes was tested on random weights, and that a model trains, saves and loads."
    )


def _published_score(result: Mapping[str, Any]) -> EvalResult:
    table = result["source"] != ZOO_SOURCE
    return EvalResult(
        task_type="image-segmentation",
        task_name=f"{result['task']} segmentation",
        dataset_type=result["data"].lower(),
        dataset_name=result["data"],
        dataset_config=", ".join(filter(None, (result["task"], f"{result['size']} x {result['size']}", result.get("note")))),
        dataset_split=SPLIT[result["data"]],
        metric_type=result["metric"].lower(),
        metric_name=result["metric"],
        metric_value=result["score"],
        source_name=f"EoMT paper, {result['source']}" if table else "the authors' model zoo",
        source_url=PAPER if table else ZOO,
    )


def _figures(name: str, results: list[Mapping[str, Any]]) -> str:
    """Published figures and measured sizes, side by side."""
    columns = ["task", "input", "score (published)", "images/s (published)", "M params (published)", "M params (measured)"]
    columns += ["GFLOPs (published)", "GFLOPs (measured)", "from"]
    rows = [f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|"]
    for result in results:
        params, flops = measure_size(name, *(result[key] for key in ("size", "queries", "classes", "masked")))
        task = f"{result['task']}, {result['data']} {SPLIT[result['data']]}" + (
            ", masked attention at inference" * result["masked"]
        )
        cells = [task, f"{result['size']} x {result['size']}", f"{result['metric']} {result['score']}"]
        cells += [result.get("fps", ""), result.get("params", ""), f"{params:.2f}", result.get("gflops", ""), f"{flops:.2f}"]
        cells += ["; ".join(filter(None, (result["source"], result.get("note"), result.get("remark"))))]
        rows.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(rows) + (
        "\n\n*Published*: by the paper's authors, in the table named or in their model zoo, and not reproduced here; their images "
        "a second are on an NVIDIA H100. *Measured*: counted on this package's model for one input, as "
        "`python benchmarks/paper_tables.py` counts all of the paper's. This package's is in docs/benchmarks.md."
    )


def _training(entry: Mapping[str, Any]) -> str:
    about = (
        "The defaults of this package are the paper's recipe for COCO at 640 pixels (12 epochs of 16 images a step; masks annealed "
        "block by block)"
    )
    start = f"--timm_model {entry['backbone']}"
    if "recipe" in entry:
        about = "The authors' recipe for it is bundled, and states what differs from the paper's"
        start = f"--recipe {entry['recipe']}"
    command = f"python train_scripts/train.py {start} --data data/coco --output_dir outputs/coco"
    return f"{about}:\n\n```bash\n{command}\n```\n\nIt was not run here at full length."


def main() -> None:
    for name in published_names():
        path = Path(FOLDER / f"{name}.md")
        path.write_text(architecture_card(name), encoding="utf-8")
        print(path.name)


if __name__ == "__main__":
    main()
