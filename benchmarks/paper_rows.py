"""The paper's tables as `paper_tables.yaml` has them."""

from dataclasses import dataclass
from pathlib import Path

import yaml

FILE = Path(__file__).with_name("paper_tables.yaml")


@dataclass(frozen=True)
class Row:
    """A row of a table. The head of `paper_tables.yaml` explains the fields."""

    method: str
    params: float | None = None
    gflops: float | None = None
    fps: float | None = None
    score: float | None = None
    recipe: str | None = None
    timm_model: str | None = None
    model_type: str | None = None
    image_size: int | None = None
    masked: bool = False
    crops: float = 1
    without: str | None = None
    rival: str | None = None
    input: str | None = None
    other_input: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Table:
    """The rows of a table, and what their `fps` and `score` are."""

    score: str
    rows: tuple[Row, ...]
    speed: str = "FPS"


def read_tables() -> dict[str, Table]:
    """{name: table}, in the paper's order."""
    content = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return {name: Table(**{**fields, "rows": tuple(Row(**row) for row in fields["rows"])}) for name, fields in content.items()}
