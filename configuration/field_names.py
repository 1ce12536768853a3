"""Whether a configuration has the fields that it is to be given."""

import difflib
from collections.abc import Iterable
from dataclasses import fields

from eomt.configuration.configuration_eomt import EomtConfig


def check_config_fields(names: Iterable[str]) -> None:
    """A configuration keeps what it doesn't know, and nothing would come of it.

    Raises:
        ValueError: `EomtConfig` has no such field.
    """
    known = {config_field.name for config_field in fields(EomtConfig)}
    for name in set(names) - known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "see EomtConfig's documentation"
        raise ValueError(f"config: EomtConfig has no field {name}; {hint}")
