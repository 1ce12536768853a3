"""The layouts of datasets that `prepare.py` knows, as its error message lists them."""

import re

from eomt.train_scripts.data.formats.detection import KNOWN


def layout_table() -> str:
    """A row a format, with the folders and files it is known by."""
    rows = [re.fullmatch(r"(\w+)\s+(.+)", line.strip()).groups() for line in KNOWN.splitlines()]
    cells = [f"| `{name}` | {layout} |" for name, layout in rows]
    return "\n".join(["| format | layout |", "| --- | --- |", *cells])
