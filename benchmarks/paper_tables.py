"""Prints parameters and GFLOPs of the paper's tables beside those counted here, as docs/paper_tables.md, or draws Figure 1:

    python benchmarks/paper_tables.py > docs/paper_tables.md
    python benchmarks/paper_tables.py --figure docs/figure1.png

The models are those of the recipes and, of the paper's rivals, those of transformers, on tensors without memory. The paper's
figures are in benchmarks/paper_tables.yaml, which says which model a row is of.
"""

import argparse
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import timm
import torch
from paper_rows import Row, Table, read_tables
from rival_models import build_rival, count_rival

import eomt  # noqa: F401  which registers the Auto classes
from eomt.model_cards.sizes import count_multiply_adds, count_parameters, on_meta
from eomt.train_scripts.training.arguments import EomtTrainingArguments
from eomt.train_scripts.training.data_arguments import DataArguments
from eomt.train_scripts.training.model_arguments import ModelArguments
from eomt.train_scripts.training.recipe import parse_arguments
from eomt.weights.timm import encoder_config

CLASSES = {"coco_panoptic": 133, "coco_instance": 80, "ade20k": 150, "cityscapes": 19, "ablation": 133}  # by a recipe's first words
TOLERANCE = 0.005

HEAD = """# The paper's tables

Parameters and multiply-adds of the paper's models, and of the same models here. `python benchmarks/paper_tables.py` prints this
page. The figures here are counted on tensors without memory, by the rules of the paper's tool; no weights are needed. A
multiply-add counts as one. A figure *agrees* if it rounds or is cut to the paper's, or is within .5 % of it. In Tables 5 and 9 the
paper's models are counted on all windows of an image. Images a second (FPS, on an NVIDIA H100) and scores are the paper's; none was
reproduced here.

![PQ against images a second, of ViT-Adapter + Mask2Former and EoMT in four sizes](figure1.png)

Left, Figure 1 of the paper. Every point is the paper's: Table 3, COCO val2017, 640 x 640 pixels, NVIDIA H100, compiled. Right, how
much faster EoMT is than each row of Table 1: in the paper, and as measured here on 2 cores of an AMD EPYC with AVX512, on one image
in turn. `python benchmarks/ladder_speed.py --architecture small large --image_size 640 --output FILE` measures the right side, and
`python benchmarks/paper_tables.py --figure docs/figure1.png --measured FILE` draws both.

## Rivals

- Mask2Former on Swin-L and OneFormer on ConvNeXt-XL are transformers' classes in the released sizes, which are in
  `benchmarks/rival_models.yaml`.
- The paper takes these models' GFLOPs from their papers (appendix A.3). They are of other inputs than its FPS. Mask2Former's on
  COCO are a mean over 100 photos, whose shorter sides are 800 pixels. OneFormer's on Cityscapes and ADE20K are of a crop as in
  training. OneFormer's tool counts the post-processing as well, which is left out here. Whether that is the whole difference of
  1.7 % was not checked.
- Here each is counted on the input in the last column. For a shorter side it is that of a photo of 4:3, padded to multiples of 32.
- OneFormer on DiNAT-L is not counted. Transformers' DiNAT imports `natten2dqkrpb` and `natten2dav` of natten. Version 0.21.7 has
  neither. Of those that have both, 0.14.6 does not compile with torch 2.14.1, and 0.17.0 needs the CUDA toolkit.
"""


@dataclass(frozen=True)
class Counted:
    """Parameters in millions, GFLOPs of an image, and further figures."""

    params: float
    gflops: float
    notes: tuple[str, ...] = ()


def count(row: Row) -> Counted:
    """Counts the model of a row."""
    return count_recipe(row) if row.recipe else count_transformers(row)


def count_recipe(row: Row) -> Counted:
    parameters, counts = count_model(row.recipe, row.timm_model, row.model_type, row.image_size, row.masked)
    gflops = {name: number * row.crops / 1e9 for name, number in counts.items()}
    notes = (f"{gflops[''] - gflops[row.without]:.2f} without `{row.without}`",) if row.without else ()
    return Counted(parameters / 1e6, gflops[""], notes)


@cache
def count_model(
    recipe: str, timm_model: str | None, model_type: str | None, image_size: int | None, masked: bool
) -> tuple[int, dict[str, int]]:
    """Parameters and, by module, multiply-adds of a recipe's model, with what a row has in place of the recipe's."""
    words = ["--recipe", recipe, "--data", "unread", "--output_dir", "unwritten"]
    model_args, data_args, _ = parse_arguments((ModelArguments, DataArguments, EomtTrainingArguments), words)
    [classes] = [number for start, number in CLASSES.items() if recipe.startswith(start)]
    fields = {"image_size": image_size or data_args.image_size, "num_labels": classes, **model_args.config_fields}
    if model_type:
        fields["model_type"] = model_type
    with torch.device("meta"):
        vit = timm.create_model(timm_model or model_args.timm_model, num_classes=0)
    model = on_meta(encoder_config(vit.state_dict(), **fields), masked)
    return count_parameters(model), count_multiply_adds(model, model.config.image_size_hw)


def count_transformers(row: Row) -> Counted:
    gflops = {size: count_rival(row.rival, parse_size(size))[""] / 1e9 for size in (row.input, row.other_input) if size}
    notes = [f"input {row.input}"]
    if row.other_input:
        notes.append(f"{gflops[row.other_input]:.2f} for {row.other_input}")
    return Counted(count_parameters(build_rival(row.rival)) / 1e6, gflops[row.input], tuple(notes))


def parse_size(size: str) -> tuple[int, int]:
    """`800 x 1088` as `(800, 1088)`."""
    height, width = size.split(" x ")
    return int(height), int(width)


def agrees(published: float, counted: float) -> bool:
    """Whether a figure rounds or is cut to the published one, or is within the tolerance."""
    return published in (round(counted), int(counted)) or abs(counted / published - 1) <= TOLERANCE


def line(row: Row) -> str:
    """A row of the page. Without a published figure there is nothing that could agree."""
    published = [row.params, row.gflops]
    here, verdict, notes = ["", ""], "not counted", [row.reason] if row.reason else []
    if row.recipe or row.rival:
        counted = count(row)
        figures = [counted.params, counted.gflops]
        verdicts = [agrees(*pair) for pair in zip(published, figures, strict=True) if pair[0]]
        verdict = ("yes" if all(verdicts) else "**no**") if verdicts else ""
        here = [f"{figure:.2f}" for figure in figures]
        notes += counted.notes
    cells = [row.method, row.params, here[0], row.gflops, here[1], verdict, row.fps, row.score, "; ".join(notes)]
    return "| " + " | ".join("" if cell is None else str(cell) for cell in cells) + " |"


def section(name: str, table: Table) -> str:
    """A table of the page."""
    published = [f"{table.speed}, paper", f"{table.score}, paper"]
    columns = ["model", "M params, paper", "here", "GFLOPs, paper", "here", "agrees", *published, ""]
    return "\n".join([f"## {name}\n", f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|", *map(line, table.rows), ""])


def page() -> str:
    """The page, in Markdown."""
    return "\n".join([HEAD, *(section(name, table) for name, table in read_tables().items())])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figure", type=Path, metavar="PNG", help="draw Figure 1 here instead of printing the page")
    parser.add_argument("--measured", type=Path, metavar="JSON", help="file of ladder_speed.py --output, for a second panel")
    args = parser.parse_args()
    if args.measured and not args.figure:
        parser.error("--measured needs --figure, to which it adds a panel")
    if not args.figure:
        sys.stdout.write(page())
        return
    from figure1 import draw, read_measured  # here, since matplotlib is an extra

    draw(read_measured(args.measured) if args.measured else None).savefig(args.figure, dpi=150)


if __name__ == "__main__":
    main()
