"""Which options decide the result of a run: a checkpoint of other ones is not taken for this run's.

An option says so itself, where it is defined, by its type: `learning_rate: Deciding[float] = field(...)`. The metadata of a
dataclass field can't hold it, because `HfArgumentParser` hands all of them to argparse.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from eomt.train_scripts.data.input_paths import absolute_if_here
from eomt.train_scripts.training.option_checks import LORA_RANK, LORA_TARGETS
from eomt.train_scripts.training.start_size import SHARE as START_SHARE

T = TypeVar("T")
_DECIDES = "decides the result of a run"
Deciding = Annotated[T, _DECIDES]

# Options of transformers' TrainingArguments that decide too. Those that this package redefines say it by their type.
INHERITED = ("optim", "optim_args", "adam_beta1", "adam_beta2", "adam_epsilon")
# Options that may name something on this machine, which has one name here, wherever the command is given.
PATHS = ("data", "checkpoint", "timm_model")
# Options that came later, with what runs before them had: their checkpoints lack the name, and can be resumed all the same.
LATER = {
    "undecayed_blocks": None,
    "first_block_annealing": None,
    "lora": False,
    "lora_rank": LORA_RANK,
    "lora_alpha": None,
    "lora_targets": list(LORA_TARGETS),
    "augment": True,
    "cache_features": False,
    "rotate90": False,
    "start_image_size": None,
    "start_share": START_SHARE,
    "copy_paste": 0.0,
    "pilot_queries": 0,
    "pilot_noise": 0.0,
    "optim_args": None,
    "adam_epsilon": 1e-8,
}


def deciding_options(groups: Sequence[Any]) -> dict[str, Any]:
    """{option: value} of all options that decide a run's result, beside those that the order of the data depends on.

    Args:
        groups: dataclass instances of options, such as `EomtTrainingArguments`.

    Returns:
        Values as JSON stores and loads them, so that they compare equal to stored ones. Files and folders have their absolute path.
    """
    options = {}
    for group in groups:
        hints = get_type_hints(type(group), include_extras=True)
        names = [name for name, hint in hints.items() if name in INHERITED or _decides(hint)]
        options |= {name: getattr(group, name) for name in names}
    return with_absolute_paths(json.loads(json.dumps(options, default=str)))


def with_absolute_paths(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of which those that name a file or folder of this machine have its absolute path; names of timm or the Hub stay."""
    return {**options, **{name: absolute_if_here(options[name]) for name in PATHS if options.get(name)}}


def _decides(hint: Any) -> bool:
    return get_origin(hint) is Annotated and _DECIDES in get_args(hint)
