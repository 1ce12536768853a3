"""Whether any configuration has the fields that it is to be given."""

import difflib
from collections.abc import Iterable
from dataclasses import fields

from eomt.configuration.architectures import MODEL_TYPES


def check_config_fields(names: Iterable[str]) -> None:
    """A configuration keeps what it doesn't know, and nothing would come of it.

    Raises:
        ValueError: no configuration has such a field.
    """
    known = {"model_type"}.union(*({field.name for field in fields(config_class)} for config_class in MODEL_TYPES.values()))
    for name in set(names) - known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "see the documentation of EomtConfig"
        raise ValueError(f"config: no configuration has a field {name}; {hint}")
