"""Options that have a least value, in a module that loads nothing: a wrong one is answered before PyTorch is loaded."""

from collections.abc import Mapping
from typing import Any


def check_least(options: Any, least: Mapping[str, tuple[float, str]]) -> None:
    """Raises ValueError for an option below its least value, given as {name: (least value, hint)}, or for nan."""
    for name, (smallest, hint) in least.items():
        if (value := getattr(options, name)) is not None and not value >= smallest:
            raise ValueError(f"{name}={value} must be at least {smallest}; {hint}")
