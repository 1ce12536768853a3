"""Parameters and multiply-adds of a model, counted on tensors without memory as the paper's tool counts them (section 4.1, fvcore).

A multiply-add is one FLOP, of linear layers, convolutions, attention and the mask product. A norm counts 5 an element, batch
normalisation 2; bilinear resizing and sampling count 4 an element of the result. Activations, softmax, additions and LayerScale are
not counted, nor is the product of queries and keys in Mask2Former's masked cross-attention, which the paper's tool leaves out.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModel, PreTrainedConfig

from eomt.mask_classifier import MaskClassifier

aten = torch.ops.aten


def _per_element(count: int) -> Callable[..., int]:
    """What PyTorch's counter, for which a multiply-add is two, takes as the FLOPs of an operation by its results' shapes."""

    def flops(*_, out_shape: Sequence, **__) -> int:
        first = out_shape[0] if isinstance(out_shape[0], Sequence) else out_shape  # a norm returns its statistics as well
        return 2 * count * torch.Size(first).numel()

    return flops


FORMULAS = {
    aten.native_layer_norm: _per_element(5),
    aten.native_group_norm: _per_element(5),
    aten.native_batch_norm: _per_element(2),
    aten._native_batch_norm_legit_no_training: _per_element(2),
    aten.upsample_bilinear2d: _per_element(4),
    aten.grid_sampler_2d: _per_element(4),
    aten.baddbmm: _per_element(0),
}


def on_meta(config: PreTrainedConfig, masked: bool) -> MaskClassifier:
    """A model without memory, in evaluation, with masked attention in every block that may have it, or in none."""
    with torch.device("meta"):
        model = AutoModel.from_config(config)
    model.attn_mask_probs = torch.full(model.attn_mask_probs.shape, float(masked))
    return model.eval().requires_grad_(False)


def count_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@torch.no_grad()
def count_multiply_adds(model: nn.Module, size: tuple[int, int], **inputs: Tensor) -> dict[str, int]:
    """Multiply-adds of a forward pass on one image, by module.

    Args:
        model: on the meta device.
        size: `(height, width)` in pixels.
        inputs: what `forward` takes besides `pixel_values`.

    Returns:
        {name of the module: count}; the whole model's has the name "".
    """
    pixels = torch.empty(1, 3, *size, device="meta")
    with FlopCounterMode(display=False, custom_mapping=FORMULAS) as counter:
        model(pixel_values=pixels, **inputs)
    counts = {name.partition(".")[2]: sum(flops.values()) // 2 for name, flops in counter.get_flop_counts().items()}
    return {**counts, "": counter.get_total_flops() // 2}
