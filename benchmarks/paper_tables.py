"""Prints parameters and GFLOPs of the paper's tables beside those counted here, as the page docs/paper_tables.md:

    python benchmarks/paper_tables.py > docs/paper_tables.md

The models are those of the recipes, on tensors without memory; benchmarks/paper_tables.yaml says which recipe a row is of.
"""

import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import timm
import torch
import yaml

import eomt  # noqa: F401  which registers the Auto classes
from eomt.model_cards.sizes import count_multiply_adds, count_parameters, on_meta
from eomt.train_scripts.training.arguments import DataArguments, EomtTrainingArguments, ModelArguments
from eomt.train_scripts.training.recipe import parse_arguments
from eomt.weights.timm import encoder_config

TABLES = Path(__file__).with_suffix(".yaml")
CLASSES = {"coco_panoptic": 133, "coco_instance": 80, "ade20k": 150, "cityscapes": 19, "ablation": 133}  # by a recipe's first words
TOLERANCE = 0.005

HEAD = """# The paper's tables

Parameters and multiply-adds of the paper's models, and of the same models here. `python benchmarks/paper_tables.py` prints this
page. The figures here are counted on the models of the recipes, on tensors without memory, by the rules of the paper's tool; no
weights are needed. A multiply-add counts as one. A figure *agrees* if it rounds or is cut to the paper's, or is within .5 % of it.
Tables 5 and 9 are of all windows of an image. Scores and speed of the paper were not reproduced here.
"""


@dataclass(frozen=True)
class Row:
    """A row of `paper_tables.yaml`, where the fields are explained."""

    method: str
    gflops: float
    params: float | None = None
    recipe: str | None = None
    timm_model: str | None = None
    model_type: str | None = None
    image_size: int | None = None
    masked: bool = False
    crops: float = 1
    without: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Counted:
    """Parameters in millions, and GFLOPs of an image, in all and without the row's module."""

    params: float
    gflops: float
    gflops_without: float | None


def read_tables() -> dict[str, list[Row]]:
    """{table: its rows}."""
    content = yaml.safe_load(TABLES.read_text(encoding="utf-8"))
    return {table: [Row(**fields) for fields in rows] for table, rows in content.items()}


@cache
def count(row: Row) -> Counted:
    """Counts the model of a row's recipe."""
    words = ["--recipe", row.recipe, "--data", "unread", "--output_dir", "unwritten"]
    model_args, data_args, _ = parse_arguments((ModelArguments, DataArguments, EomtTrainingArguments), words)
    [classes] = [number for start, number in CLASSES.items() if row.recipe.startswith(start)]
    fields = {"image_size": row.image_size or data_args.image_size, "num_labels": classes, **model_args.config_fields}
    if row.model_type:
        fields["model_type"] = row.model_type
    with torch.device("meta"):
        vit = timm.create_model(row.timm_model or model_args.timm_model, num_classes=0)
    model = on_meta(encoder_config(vit.state_dict(), **fields), row.masked)
    counts = count_multiply_adds(model, model.config.image_size_hw)
    without = (counts[""] - counts[row.without]) * row.crops / 1e9 if row.without else None
    return Counted(count_parameters(model) / 1e6, counts[""] * row.crops / 1e9, without)


def agrees(published: float, counted: float) -> bool:
    """Whether a figure rounds or is cut to the published one, or is within the tolerance."""
    return published in (round(counted), int(counted)) or abs(counted / published - 1) <= TOLERANCE


def line(row: Row) -> str:
    """A row of the page."""
    cells = [row.method, row.params or "", "", row.gflops, "", "not counted"]
    notes = [row.reason] if row.reason else []
    if row.recipe:
        counted = count(row)
        pairs = [(row.params, counted.params)] if row.params else []
        verdict = all(agrees(*pair) for pair in [*pairs, (row.gflops, counted.gflops)])
        cells[2], cells[4], cells[5] = f"{counted.params:.2f}", f"{counted.gflops:.2f}", "yes" if verdict else "**no**"
        if counted.gflops_without is not None:
            notes.append(f"{counted.gflops_without:.2f} without `{row.without}`")
    return "| " + " | ".join(map(str, [*cells, "; ".join(notes)])) + " |"


def page() -> str:
    """The page, in Markdown."""
    parts = [HEAD]
    columns = ["model", "M params, paper", "here", "GFLOPs, paper", "here", "agrees", ""]
    for table, rows in read_tables().items():
        parts += [f"## {table}\n", f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|", *map(line, rows), ""]
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(page())
