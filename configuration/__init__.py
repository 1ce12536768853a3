"""What a model is: its configuration and the named architectures."""

from eomt.configuration.architectures import ARCHITECTURES, architecture_config
from eomt.configuration.configuration_eomt import EomtConfig

__all__ = ["ARCHITECTURES", "EomtConfig", "architecture_config"]
