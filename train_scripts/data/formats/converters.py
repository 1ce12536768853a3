"""Formats that no reader is here for, and the command of a converter that writes one that there is."""

from pathlib import Path


def advice_for(folder: Path) -> str | None:
    return None
