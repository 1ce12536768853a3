"""The convolutional stem of ViT-Adapter, which gives it the fine structures that patches lose.

Chen et al., "Vision Transformer Adapter for Dense Predictions". Shapes: `B` images, `D` width, `H, W` pixels.
"""

import math

import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers import initialization as init

from eomt.initialization import InitializedModule

STEM_WIDTH = 64  # for every size of the encoder


class AdapterConv2d(nn.Conv2d, InitializedModule):
    """A convolution whose initial weights keep the variance of gradients."""

    def initialize_tensors(self, config: PreTrainedConfig) -> None:
        fan_out = self.kernel_size[0] * self.kernel_size[1] * self.out_channels // self.groups
        init.normal_(self.weight, std=math.sqrt(2 / fan_out))
        if self.bias is not None:
            init.zeros_(self.bias)


class AdapterBatchNorm(nn.SyncBatchNorm, InitializedModule):
    """Batch normalisation with the statistics of all processes, on a CPU of each process, as PyTorch can't share them there."""

    def initialize_tensors(self, config: PreTrainedConfig) -> None:
        init.ones_(self.weight)
        init.zeros_(self.bias)
        init.zeros_(self.running_mean)
        init.ones_(self.running_var)
        init.zeros_(self.num_batches_tracked)

    def forward(self, features: Tensor) -> Tensor:
        """(B, D, h, w) -> (B, D, h, w)."""
        if features.is_cuda:
            return super().forward(features)
        if self.training:
            self.num_batches_tracked += 1
        return F.batch_norm(
            features, self.running_mean, self.running_var, self.weight, self.bias, self.training, self.momentum, self.eps
        )


def convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """3x3 convolution, batch normalisation, ReLU."""
    conv = AdapterConv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False)
    return nn.Sequential(conv, AdapterBatchNorm(outputs), nn.ReLU())


class SpatialPrior(nn.Module):
    """Feature maps of the image at 1/4, 1/8, 1/16 and 1/32, each with the encoder's width."""

    def __init__(self, num_channels: int, width: int):
        super().__init__()
        stem = STEM_WIDTH
        self.stem = nn.Sequential(
            convolution(num_channels, stem, stride=2),
            convolution(stem, stem),
            convolution(stem, stem),
            nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        )
        widths = (stem, 2 * stem, 4 * stem, 4 * stem)
        self.stages = nn.ModuleList(convolution(before, after, stride=2) for before, after in zip(widths, widths[1:], strict=False))
        self.projections = nn.ModuleList(AdapterConv2d(inner, width, kernel_size=1) for inner in widths)

    def forward(self, pixel_values: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> (B, D, H / 4, W / 4) to (B, D, H / 32, W / 32)."""
        features = [self.stem(pixel_values.to(self.projections[0].weight.dtype))]
        for stage in self.stages:
            features.append(stage(features[-1]))
        return [project(feature) for project, feature in zip(self.projections, features, strict=True)]
