"""EoMT, the Encoder-only Mask Transformer, for Hugging Face Transformers. Importing it registers the Auto classes.

The package's own commands alone put that off until their options are read, so that a wrong option is answered before PyTorch and
transformers are loaded: there the names below, and the registration with them, come with their first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from eomt.starting import is_command

if TYPE_CHECKING or not is_command():
    from eomt.registered import (
        EomtConfig,
        EomtDinov3Config,
        EomtDinov3ForUniversalSegmentation,
        EomtDinov3LadderConfig,
        EomtDinov3LadderForUniversalSegmentation,
        EomtDinov3PreTrainedModel,
        EomtEva02Config,
        EomtEva02ForUniversalSegmentation,
        EomtEva02LadderConfig,
        EomtEva02LadderForUniversalSegmentation,
        EomtEva02PreTrainedModel,
        EomtForUniversalSegmentation,
        EomtForUniversalSegmentationOutput,
        EomtImageProcessor,
        EomtImageProcessorPil,
        EomtLadderConfig,
        EomtLadderForUniversalSegmentation,
        EomtLadderPreTrainedModel,
        EomtPreTrainedModel,
    )

__all__ = [
    "EomtConfig",
    "EomtDinov3Config",
    "EomtDinov3ForUniversalSegmentation",
    "EomtDinov3LadderConfig",
    "EomtDinov3LadderForUniversalSegmentation",
    "EomtDinov3PreTrainedModel",
    "EomtEva02Config",
    "EomtEva02ForUniversalSegmentation",
    "EomtEva02LadderConfig",
    "EomtEva02LadderForUniversalSegmentation",
    "EomtEva02PreTrainedModel",
    "EomtForUniversalSegmentation",
    "EomtForUniversalSegmentationOutput",
    "EomtImageProcessor",
    "EomtImageProcessorPil",
    "EomtLadderConfig",
    "EomtLadderForUniversalSegmentation",
    "EomtLadderPreTrainedModel",
    "EomtPreTrainedModel",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("eomt.registered"), name)
