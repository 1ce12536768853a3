"""The paper's architectures by name: what differs from `EomtConfig`'s defaults (paper, section 4.1 and Table A)."""

from eomt.configuration.configuration_eomt import EomtConfig

ARCHITECTURES: dict[str, dict] = {
    "small": dict(hidden_size=384, num_hidden_layers=12, num_attention_heads=6, num_blocks=3),
    "base": dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, num_blocks=3),
    "large": dict(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, num_blocks=4),
    "giant": dict(hidden_size=1536, num_hidden_layers=40, num_attention_heads=24, num_blocks=5, use_swiglu_ffn=True),
}


def architecture_config(name: str, **overrides) -> EomtConfig:
    """The configuration of a named architecture.

    Args:
        name: `small`, `base`, `large` or `giant` (DINOv2 with four registers, patch size 16, 640 pixels, 200 queries).
        overrides: any field of [`EomtConfig`].

    Raises:
        ValueError: for a name that is not one of the four.
    """
    if name not in ARCHITECTURES:
        raise ValueError(f"architecture={name!r} is unknown; choose one of {', '.join(ARCHITECTURES)}")
    return EomtConfig(**{**ARCHITECTURES[name], **overrides})
