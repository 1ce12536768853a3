"""A table of the recipes that come with the package, from the comments at their heads."""

import re
from pathlib import Path

RECIPES = Path(__file__).parents[2] / "train_scripts/recipes"


def recipe_table() -> str:
    """Name, what it trains, and the score that its head expects, with the source."""
    rows = [f"| `{path.stem}` | {' | '.join(_head(path))} |" for path in sorted(RECIPES.glob("*.yaml"))]
    return "\n".join(["| recipe | what it trains | expected | source |", "| --- | --- | --- | --- |", *rows])


def _head(path: Path) -> tuple[str, str, str]:
    """What is trained, the expected score, and the source of both.

    Raises:
        ValueError: the recipe's head doesn't say.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    head = " ".join(line[1:].strip() for line in lines if line.startswith("#"))
    match = re.match(r"(?P<what>.+?) Source: (?P<source>.+?)\. Expected: (?P<expected>.+?)(?:\. |\.$)", head)
    if match is None:
        raise ValueError(f"{path.name}: its first comment must be `WHAT. Source: ... . Expected: ... .`")
    return match["what"].removesuffix("."), match["expected"], match["source"]
