"""The name under which [`from_timm`] is public: see `eomt.weights.timm`."""

from eomt.weights.timm import encoder_config, from_timm, load_timm_encoder

__all__ = ["encoder_config", "from_timm", "load_timm_encoder"]
