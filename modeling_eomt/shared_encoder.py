"""Several tasks on one frozen encoder: the blocks before the queries run once for all of them.

Shapes: `B` images, `N` tokens, `D` width, `H, W` pixels.
"""

from collections.abc import Mapping
from dataclasses import fields

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig

from eomt.mask_classifier import EomtForUniversalSegmentationOutput
from eomt.modeling_eomt import EomtForUniversalSegmentation

# Fields of a configuration that the blocks before the queries don't depend on.
OF_HEADS = {"num_blocks", "num_queries", "num_upscale_blocks", "no_object_weight", "class_weight", "mask_weight", "dice_weight"}
OF_HEADS |= {"train_num_points", "oversample_ratio", "importance_sample_ratio"}
# Those that act in training or on new weights alone.
OF_TRAINING = {"hidden_dropout_prob", "attention_dropout", "drop_path_rate", "initializer_range", "layerscale_value"}
OF_TRAINING |= {"pos_embed_shift", "pos_embed_jitter", "pos_embed_rescale"}


class SharedEncoder(nn.Module):
    """
    Models for several tasks that were trained with the same frozen encoder, `--frozen_blocks -1` from one start.

    Their outputs are those of each model alone. The encoder is held once: that of the first model serves all.

    Args:
        models: by name, in evaluation mode. Their numbers of blocks with queries may differ.

    Attributes:
        shared_blocks: how many blocks run once; a model whose queries join later runs what is left by itself.

    Raises:
        ValueError: there are none, or encoders differ; names what differs. Or a model merges tokens.
    """

    def __init__(self, models: Mapping[str, EomtForUniversalSegmentation]):
        super().__init__()
        if not models:
            raise ValueError("models is empty; give one or more models of the same frozen encoder")
        self.names = list(models)
        self.models = nn.ModuleList(models.values())
        if merging := [name for name, model in models.items() if model.token_merging is not None]:
            raise ValueError(f"model {merging[0]!r} merges tokens, by its own choice of them; call merge_tokens(model, None)")
        self.shared_blocks = min(model.first_query_block for model in self.models)
        for name, model in zip(self.names[1:], self.models[1:], strict=True):
            _check_same(self.names[0], self.models[0], name, model, self.shared_blocks)
            model.embeddings, model.rotary = self.models[0].embeddings, self.models[0].rotary
            for block in range(self.shared_blocks):
                model.layers[block] = self.models[0].layers[block]

    @torch.no_grad()
    def forward(self, pixel_values: Tensor, **kwargs) -> dict[str, EomtForUniversalSegmentationOutput]:
        """
        Args:
            pixel_values: (B, 3, H, W).
            kwargs: further arguments of each model, such as `image_layouts`.

        Returns:
            {name: what the model of that name gives}.

        Raises:
            ValueError: a model is in training mode.
        """
        if training := [name for name, model in zip(self.names, self.models, strict=True) if model.training]:
            raise ValueError(f"model {training[0]!r} is in training mode, where features may be random; call eval()")
        tokens = self.models[0].encode_images(pixel_values, self.shared_blocks)
        outputs = [model(pixel_values, encoded=tokens, encoded_blocks=self.shared_blocks, **kwargs) for model in self.models]
        return dict(zip(self.names, outputs, strict=True))


def _check_same(
    first: str, one: EomtForUniversalSegmentation, second: str, other: EomtForUniversalSegmentation, shared_blocks: int
) -> None:
    """Raises ValueError unless two models have the same embeddings and first blocks, bit for bit."""
    remedy = "share no encoder. Train both with --frozen_blocks -1 from the same start, and at the same image_size"
    if type(one) is not type(other):
        raise ValueError(f"models {first!r} ({one.config.model_type}) and {second!r} ({other.config.model_type}) {remedy}")
    of_transformers = {field.name for field in fields(PreTrainedConfig)}  # such as the names of the classes
    names = [field.name for field in fields(one.config) if field.name not in OF_HEADS | OF_TRAINING | of_transformers]
    if different := [name for name in names if getattr(one.config, name) != getattr(other.config, name)]:
        raise ValueError(f"models {first!r} and {second!r} differ in {different[0]} and {remedy}")
    tensors, others = _encoder_tensors(one, shared_blocks), _encoder_tensors(other, shared_blocks)
    for name, tensor in tensors.items():
        if not torch.equal(tensor, others[name].to(tensor.device)):
            raise ValueError(f"models {first!r} and {second!r} differ in the weights {name} and {remedy}")


def _encoder_tensors(model: EomtForUniversalSegmentation, shared_blocks: int) -> dict[str, Tensor]:
    parts = {"embeddings": model.embeddings, "layers": model.layers[:shared_blocks]}
    return {f"{part}.{name}": tensor for part, module in parts.items() for name, tensor in module.state_dict().items()}
