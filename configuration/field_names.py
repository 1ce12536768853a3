"""Whether there is a configuration with the fields that one is to be given."""

import difflib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from eomt.configuration.architectures import MODEL_TYPES


def check_config_fields(given: Mapping[str, Any]) -> None:
    """A configuration keeps what it doesn't know, and nothing would come of it.

    Args:
        given: fields, and `model_type`, which chooses the configuration.

    Raises:
        ValueError: no configuration has such a field, or is of that type.
    """
    known = {"model_type"}.union(*({field.name for field in fields(config_class)} for config_class in MODEL_TYPES.values()))
    for name in given.keys() - known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "see the documentation of EomtConfig"
        raise ValueError(f"config: no configuration has a field {name}; {hint}")
    if given.get("model_type", "eomt") not in MODEL_TYPES:
        raise ValueError(f"config: model_type must be one of {', '.join(MODEL_TYPES)}, not {given['model_type']!r}")
