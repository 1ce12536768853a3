"""Configuration of EoMT on DINOv3, field for field that of transformers' `eomt_dinov3` checkpoints."""

from huggingface_hub.dataclasses import strict

from eomt.configuration.base import EomtBaseConfig


@strict
class EomtDinov3Config(EomtBaseConfig):
    """
    Configuration of [`EomtDinov3ForUniversalSegmentation`].

    Fields and defaults are those of transformers' own, so that `config.json` means the same to both. `hidden_act` is also the
    activation of mask head and upscaling, and SiLU in the gated sizes (S+, H+, 7B). The released encoders were trained with a
    `layer_norm_eps` of 1e-5, which is not the default: [`architecture_config`] and [`from_timm`] set it.

    Args:
        layerscale_value: initial LayerScale.
        intermediate_size: hidden width of the feed-forward network.
        rope_parameters: `rope_theta`, the base of the rotation frequencies (100), and `rope_type`, always
            `default`.
        query_bias, key_bias, value_bias, proj_bias: biases of the attention's four projections.
        mlp_bias: biases of the feed-forward network.
        use_gated_mlp: a gated feed-forward network in place of the MLP.
        pos_embed_shift: in training, patch coordinates are shifted along each axis by up to this much; they span [-1, 1].
        pos_embed_jitter: in training, coordinates are multiplied by a factor in [1 / jitter, jitter] for each axis.
        pos_embed_rescale: in training, coordinates are multiplied by a factor in [1 / rescale, rescale], one for both axes.
        others: see [`EomtBaseConfig`].
    """

    model_type = "eomt_dinov3"
    default_theta = 100.0

    layerscale_value: float = 1.0
    intermediate_size: int = 4096
    rope_parameters: dict | None = None
    query_bias: bool = True
    key_bias: bool = False
    value_bias: bool = True
    proj_bias: bool = True
    mlp_bias: bool = True
    use_gated_mlp: bool = False
    pos_embed_shift: float | None = None
    pos_embed_jitter: float | None = None
    pos_embed_rescale: float | None = 2.0

    def validate_rotation(self) -> None:
        """Refuses rotations that can't be built.

        Raises:
            ValueError: for heads that can't be rotated, another kind of rotation, or factors that are not positive.
        """
        self._check_rotated_heads()
        if self.rope_parameters["rope_type"] != "default":
            raise ValueError(f"rope_parameters={self.rope_parameters}: rope_type must be 'default'")
        for name in ("pos_embed_jitter", "pos_embed_rescale"):
            factor = getattr(self, name)
            if factor is not None and factor <= 0:
                raise ValueError(f"{name}={factor} must be positive, or None for none")
