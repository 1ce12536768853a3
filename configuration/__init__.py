"""What a model is: its configuration and the named architectures."""

from eomt.configuration.architectures import ARCHITECTURES, CONFIGURATIONS, MODEL_TYPES, architecture_config, ladder_architecture
from eomt.configuration.base import EomtBaseConfig
from eomt.configuration.configuration_eomt import EomtConfig
from eomt.configuration.configuration_eomt_dinov3 import EomtDinov3Config
from eomt.configuration.configuration_eomt_eva02 import EomtEva02Config
from eomt.configuration.configuration_eomt_ladder import EomtDinov3LadderConfig, EomtEva02LadderConfig, EomtLadderConfig

__all__ = [
    "ARCHITECTURES",
    "CONFIGURATIONS",
    "EomtBaseConfig",
    "EomtConfig",
    "EomtDinov3Config",
    "EomtDinov3LadderConfig",
    "EomtEva02Config",
    "EomtEva02LadderConfig",
    "EomtLadderConfig",
    "MODEL_TYPES",
    "architecture_config",
    "ladder_architecture",
]
