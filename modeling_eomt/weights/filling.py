"""Fills a model's encoder with converted weights, all of them or none."""

import torch
from torch import Tensor, nn

from eomt.modeling_eomt import EomtForUniversalSegmentation


@torch.no_grad()
def fill_encoder(model: EomtForUniversalSegmentation, converted: dict[str, Tensor], unknown: list[str]) -> None:
    """Copies weights into the encoder; queries and heads stay as they are.

    Args:
        model: to fill.
        converted: {name in the model: values}.
        unknown: names of the source that have no counterpart.

    Raises:
        ValueError: naming the weights that are missing, unknown or of another shape; the model is then unchanged.
    """
    if isinstance(model.layernorm, nn.Identity):  # ViT-Adapter reads what the blocks give
        converted = {name: tensor for name, tensor in converted.items() if not name.startswith("layernorm.")}
    encoder = {name: tensor for name, tensor in model.state_dict().items() if model.blocks_above(name) is not None}
    missing = sorted(encoder.keys() - converted.keys())
    unknown = unknown + sorted(converted.keys() - encoder.keys())
    shapes = {
        name: (tuple(converted[name].shape), tuple(encoder[name].shape))
        for name in sorted(encoder.keys() & converted.keys())
        if converted[name].shape != encoder[name].shape
    }
    if missing or unknown or shapes:
        problems = [f"none for {', '.join(missing)}"] if missing else []
        problems += [f"no place for {', '.join(unknown)}"] if unknown else []
        problems += [f"{name} is {got}, the model's {wanted}" for name, (got, wanted) in shapes.items()]
        raise ValueError(
            f"weights don't fit the encoder: {'; '.join(problems)}; build the model from encoder_config(weights) of a ViT it knows"
        )
    for name, tensor in converted.items():
        encoder[name].copy_(tensor)
