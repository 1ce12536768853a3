"""Arguments of `from_pretrained`: fields of the configuration, those of the loading, and those that nothing takes."""

import os
from dataclasses import fields
from typing import Any

from transformers import PreTrainedConfig

from eomt.configuration import EomtBaseConfig

# where the files are
HUB = ("cache_dir", "force_download", "local_files_only", "proxies", "revision", "subfolder", "token")
# those a configuration would take or warn of, and that are the model's
OF_LOADING = (*HUB, "attn_implementation", "dtype", "quantization_config", "torch_dtype", "trust_remote_code")
# those that change no weight, or that Auto classes and pipelines give by themselves
HARMLESS = {
    *HUB,
    "_commit_hash",
    "_from_auto",
    "_from_pipeline",
    "adapter_kwargs",
    "ignore_mismatched_sizes",
    "low_cpu_mem_usage",
    "trust_remote_code",
    "use_safetensors",
}


def read_config(
    config_class: type[EomtBaseConfig], path: str | os.PathLike, kwargs: dict[str, Any]
) -> tuple[EomtBaseConfig, dict[str, Any]]:
    """The configuration of a checkpoint with the fields in `kwargs`, and the arguments that are no fields.

    Raises:
        ValueError: (inside huggingface_hub's validation error) the fields don't fit together.
    """
    given = {name: value for name, value in kwargs.items() if name not in OF_LOADING}
    config, unused = config_class.from_pretrained(path, return_unused_kwargs=True, **given, **_hub_arguments(kwargs))
    return config, {**unused, **{name: kwargs[name] for name in OF_LOADING if name in kwargs}}


def stored_fields(path: str | os.PathLike | None, kwargs: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint's `config.json` holds; nothing where it has none, as a folder with weights or an adapter alone."""
    return {} if path is None else PreTrainedConfig.get_config_dict(path, **_hub_arguments(kwargs))[0]


def changed_fields(config: EomtBaseConfig, stored: EomtBaseConfig) -> list[str]:
    """Names of the fields of which a configuration has other values than a stored one: the package's, and the classes."""
    own = {field.name for field in fields(stored)} - {field.name for field in fields(PreTrainedConfig)}
    names = ["num_labels" if config.num_labels != stored.num_labels else "id2label", *sorted(own)]
    return [name for name in names if _plain(getattr(config, name, None)) != _plain(getattr(stored, name))]


def refuse_others(kwargs: dict[str, Any], what: str) -> None:
    """
    Args:
        kwargs: arguments that are no fields, None for those not given.
        what: is loaded, and why it can't follow them.

    Raises:
        ValueError: naming an argument that would have no effect.
    """
    for name, value in kwargs.items():
        if value is not None and name not in HARMLESS:
            raise ValueError(f"{name}={value!r} is no argument for {what}; leave it out")


def _hub_arguments(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {name: kwargs[name] for name in HUB if name in kwargs}


def _plain(value: Any) -> Any:
    """A pair as JSON has it."""
    return list(value) if isinstance(value, tuple) else value
