"""Options that count things, in a module that loads nothing: a wrong one is answered before PyTorch is loaded."""


def check_count(name: str, value: int, least: int = 1) -> None:
    """
    Raises:
        ValueError: the value is less than the least.
    """
    if value < least:
        raise ValueError(f"{name}={value} must be at least {least}; give more, or leave it out")
