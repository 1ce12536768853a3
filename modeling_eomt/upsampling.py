"""Transposed 2x2 convolution whose gradients are matrix products."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Upsampling(nn.ConvTranspose2d):
    """
    Doubles height and width: each pixel becomes 2x2 pixels, a linear layer for each of the four, (B, D, h, w) -> (B, D, 2h, 2w).

    The forward pass is `nn.ConvTranspose2d`'s. Its windows don't overlap, so its gradients are those of a linear layer with four
    times the outputs, and products of matrices take a fraction of the time that gradients of convolutions take on a CPU.

    Args:
        width: `D`.
    """

    def __init__(self, width: int):
        super().__init__(width, width, kernel_size=2, stride=2)

    def forward(self, features: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return super().forward(features)
        inputs = (features, self.weight, self.bias)
        if torch.is_autocast_enabled(features.device.type):  # the gradients' products need one precision
            inputs = (tensor.to(torch.get_autocast_dtype(features.device.type)) for tensor in inputs)
        return _UpsamplingFunction.apply(*inputs)


class _UpsamplingFunction(torch.autograd.Function):
    @staticmethod
    def forward(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.conv_transpose2d(features, weight, bias, stride=2)

    @staticmethod
    def setup_context(ctx, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        features, weight = ctx.saved_tensors  # (B, D, h, w), (D, D, 2, 2)
        batch, width, height, breadth = features.shape
        windows = gradient.permute(0, 2, 3, 1).reshape(batch, height, 2, breadth, 2, -1).transpose(2, 3)
        windows = windows.reshape(batch * height * breadth, -1)  # (B * h * w, 4 * D)
        of_features = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_pixels = windows @ weight.permute(2, 3, 1, 0).flatten(0, 2)
            of_features = of_pixels.view(batch, height, breadth, width).permute(0, 3, 1, 2)
        if ctx.needs_input_grad[1]:
            pixels = features.permute(0, 2, 3, 1).reshape(-1, width)
            of_weight = (pixels.T @ windows).view(width, 2, 2, -1).permute(0, 3, 1, 2)
        if ctx.needs_input_grad[2]:
            of_bias = windows.sum(0).view(4, -1).sum(0)
        return of_features, of_weight, of_bias
