"""The scales at which an image is shown to a model, in a module that loads nothing heavy."""

from collections.abc import Sequence


def check_scales(scales: Sequence[float]) -> None:
    """Raises ValueError unless there are scales, each from 1 to 16, and none twice."""
    if not scales or len(set(scales)) < len(scales) or not all(1 <= scale <= 16 for scale in scales):
        raise ValueError(
            f"scales={list(scales)} must be different numbers from 1 to 16, such as 1 1.5: how many times as large as usual "
            "objects are in the model's input"
        )
