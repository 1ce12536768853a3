"""What the configurations of all encoders have in common: sizes, queries, heads and the loss."""

from dataclasses import fields
from typing import Any, Self

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD


@strict
class EomtBaseConfig(PreTrainedConfig):
    """
    Fields of every `model_type`. The defaults are the paper's ViT-L at 640 pixels.

    `image_size` and `patch_size` may also be `(height, width)` pairs; transformers' models read only checkpoints whose two values
    are integers.

    Args:
        hidden_size: width `D` of the encoder.
        num_hidden_layers: number `L` of encoder blocks.
        num_attention_heads: heads of self-attention; divides `hidden_size`.
        hidden_act: activation of the MLPs, the mask head and the upscaling blocks.
        hidden_dropout_prob: dropout after the embeddings.
        initializer_range: standard deviation of the class token.
        layer_norm_eps: epsilon of the encoder's LayerNorms.
        image_size: pixels, an integer or `(height, width)`: the grid on which position embeddings are stored, where there are
            any. Other multiples of `patch_size` run as well.
        patch_size: pixels, an integer or `(height, width)`.
        num_channels: channels of the input image.
        drop_path_rate: stochastic depth, the same in every block.
        num_upscale_blocks: x2 upscaling blocks before the mask product (2 at patch size 16 gives masks at a quarter).
        attention_dropout: dropout of attention weights.
        num_blocks: `L2`, the last blocks, in which queries and patches are processed together (paper, section 3.3).
        no_object_weight: weight of the no-object class in the cross-entropy.
        class_weight, mask_weight, dice_weight: weights of the loss terms, and of the matching costs (paper, equation 2).
        train_num_points: points at which masks are compared.
        oversample_ratio: candidates drawn for each point kept.
        importance_sample_ratio: share of the points that is kept for being uncertain.
        num_queries: `Q`, learnable queries; an image can hold no more segments than this.
        num_register_tokens: register tokens of the encoder.

    Attributes:
        image_mean, image_std: of the RGB channels in [0, 1], with which the encoder's published weights were trained. They are
            no field: a checkpoint's image processor stores them.
        title, description: for model cards.
        stores_masking: whether a checkpoint's masking probabilities say if the model is masked at inference.
    """

    keys_to_ignore_at_inference = ["loss_terms", "block_predictions"]  # a plain Trainer would keep them of every image

    fewest_blocks = 1  # with queries
    title = "An Encoder-only Mask Transformer (EoMT)"
    description = "a plain ViT with learnable queries in its last blocks"
    stores_masking = False  # transformers' files lack the probabilities, or hold those that a training began with
    image_mean = IMAGENET_DEFAULT_MEAN
    image_std = IMAGENET_DEFAULT_STD

    hidden_size: int = 1024
    num_hidden_layers: int = 24
    num_attention_heads: int = 16
    hidden_act: str = "gelu"
    hidden_dropout_prob: float | int = 0.0
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-6
    image_size: int | list[int] | tuple[int, int] = 640
    patch_size: int | list[int] | tuple[int, int] = 16
    num_channels: int = 3
    drop_path_rate: float | int = 0.0
    num_upscale_blocks: int = 2
    attention_dropout: float | int = 0.0
    num_blocks: int = 4
    no_object_weight: float = 0.1
    class_weight: float = 2.0
    mask_weight: float = 5.0
    dice_weight: float = 5.0
    train_num_points: int = 12544
    oversample_ratio: float = 3.0
    importance_sample_ratio: float = 0.75
    num_queries: int = 200
    num_register_tokens: int = 4

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Self | tuple[Self, dict[str, Any]]:
        """
        As in transformers, and all validators see the fields in `kwargs`, as `from_pretrained(path, num_blocks=3)` gives them.

        `label2id` follows an `id2label` that is given without it.

        Args:
            config_dict: stored fields.
            kwargs: fields in their place, and transformers' other arguments.

        Raises:
            ValueError: (inside huggingface_hub's validation error) as at the construction from all the fields.
        """
        # dtype="auto" is no value of the field: transformers sorts it out
        given = {field.name: kwargs.pop(field.name) for field in fields(cls) if field.name in kwargs and field.name != "dtype"}
        loaded = super().from_dict({**config_dict, **given}, **kwargs)
        config = loaded[0] if isinstance(loaded, tuple) else loaded
        if "id2label" in given and "label2id" not in given:
            config.label2id = {name: index for index, name in config.id2label.items()}
        return loaded

    def validate_architecture(self) -> None:
        """Refuses what can't be built. Runs whenever a configuration is made or loaded.

        Raises:
            ValueError: for an image size off the patch grid, heads that don't divide the width, `num_blocks` outside
                `1..num_hidden_layers`, or class indices with gaps.
        """
        for name, side, patch in zip(("height", "width"), self.image_size_hw, self.patch_size_hw, strict=True):
            if side <= 0 or side % patch:
                raise ValueError(
                    f"image_size={self.image_size}: its {name} {side} is not a positive multiple of patch_size {patch}, to which "
                    f"the patches of a pretrained ViT are resampled; use {nearest_multiples(side, patch)}"
                )
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(f"hidden_size={self.hidden_size} must be a multiple of num_attention_heads={self.num_attention_heads}")
        if not self.fewest_blocks <= self.num_blocks <= self.num_hidden_layers:
            raise ValueError(
                f"num_blocks={self.num_blocks} must lie in {self.fewest_blocks}..num_hidden_layers={self.num_hidden_layers}: "
                "queries join before the last num_blocks blocks"
            )
        if sorted(self.id2label) != list(range(self.num_labels)):
            raise ValueError(
                f"id2label has the indices {sorted(self.id2label)[:10]}, but must have 0..{self.num_labels - 1}, each once: "
                "a row of the class head each. Number the classes from 0 without gaps, or name those that don't occur as well"
            )
        if self.oversample_ratio < 1 or not 0 <= self.importance_sample_ratio <= 1:
            raise ValueError(
                f"oversample_ratio={self.oversample_ratio} must be at least 1, and importance_sample_ratio="
                f"{self.importance_sample_ratio} in [0, 1]"
            )
        if min(self.class_weight, self.mask_weight, self.dice_weight, self.no_object_weight) < 0:
            raise ValueError(
                f"class_weight={self.class_weight}, mask_weight={self.mask_weight}, dice_weight={self.dice_weight}, "
                f"no_object_weight={self.no_object_weight}: a loss weight must not be negative"
            )

    def _check_rotated_heads(self) -> None:
        """Of encoders with rotary positions."""
        width = self.hidden_size // self.num_attention_heads
        if width % 4:
            raise ValueError(
                f"num_attention_heads={self.num_attention_heads} makes heads {width} wide, but two axes of rotated pairs need a "
                "multiple of 4"
            )

    @property
    def image_size_hw(self) -> tuple[int, int]:
        """`(height, width)` in pixels of the stored position grid."""
        return _pair("image_size", self.image_size)

    @property
    def patch_size_hw(self) -> tuple[int, int]:
        """`(height, width)` of a patch in pixels."""
        return _pair("patch_size", self.patch_size)

    @property
    def size_multiples_hw(self) -> tuple[int, int]:
        """`(height, width)` in pixels, of which an image's sides are multiples."""
        return self.patch_size_hw

    @property
    def exports_any_size(self) -> bool:
        """Whether a graph of the model takes images of any size, and not only of the size at which it was traced."""
        return True

    @property
    def grid_size(self) -> tuple[int, int]:
        """`(h, w)` patches of the stored position grid."""
        (height, width), (patch_height, patch_width) = self.image_size_hw, self.patch_size_hw
        return height // patch_height, width // patch_width


def nearest_multiples(side: int, divisor: int) -> str:
    """The positive multiples on both sides of a number that is none, in words."""
    below = side // divisor * divisor
    return f"{below} or {below + divisor}" if below > 0 else str(divisor)


def _pair(name: str, value: int | list[int] | tuple[int, int]) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    if len(value) != 2:
        raise ValueError(f"{name}={value} must be an integer or (height, width)")
    return value[0], value[1]
