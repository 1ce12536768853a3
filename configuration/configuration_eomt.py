"""Configuration of EoMT on encoders of DINOv2's kind, field for field that of transformers' `eomt` checkpoints."""

from huggingface_hub.dataclasses import strict

from eomt.configuration.base import EomtBaseConfig


@strict
class EomtConfig(EomtBaseConfig):
    """
    Configuration of [`EomtForUniversalSegmentation`], for DINOv2, DeiT-III and other plain ViTs.

    Fields and defaults are those of transformers' own EoMT, so that `config.json` means the same to both.

    Args:
        layerscale_value: initial LayerScale.
        mlp_ratio: hidden width of the MLP over `hidden_size`.
        use_swiglu_ffn: gated SiLU feed-forward (ViT-g) in place of the MLP.
        others: see [`EomtBaseConfig`].
    """

    model_type = "eomt"

    layerscale_value: float = 1.0
    mlp_ratio: int = 4
    use_swiglu_ffn: bool = False
