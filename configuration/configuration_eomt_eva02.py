"""Configuration of EoMT on EVA-02, a `model_type` of this package: transformers' EoMT can't represent this encoder."""

from huggingface_hub.dataclasses import strict
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from eomt.configuration.base import EomtBaseConfig


@strict
class EomtEva02Config(EomtBaseConfig):
    """
    Configuration of [`EomtEva02ForUniversalSegmentation`]. The defaults are EVA-02-L at 640 pixels.

    `hidden_act` is the activation of mask head and upscaling alone: the encoder's feed-forward networks are gated by SiLU.

    Args:
        intermediate_size: hidden width of the feed-forward network.
        num_register_tokens: the published encoders have none.
        rope_theta: base of the rotation frequencies.
        rope_reference_grid: patches along a side of the pre-training images (224 / 14), to which the patch indices of any other
            grid are scaled.
        others: see [`EomtBaseConfig`].
    """

    model_type = "eomt_eva02"
    image_mean = OPENAI_CLIP_MEAN
    image_std = OPENAI_CLIP_STD

    intermediate_size: int = 2730
    num_register_tokens: int = 0
    rope_theta: float = 10000.0
    rope_reference_grid: int = 16

    def validate_rotation(self) -> None:
        """Refuses rotations that can't be built.

        Raises:
            ValueError: for heads whose width is no multiple of 4.
        """
        self._check_rotated_heads()
