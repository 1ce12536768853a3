"""The convolutional stem of ViT-Adapter, which gives it the fine structures that patches lose.

Chen et al., "Vision Transformer Adapter for Dense Predictions". Shapes: `B` images, `D` width, `H, W` pixels.
"""

import math

import torch
import torch.distributed as dist
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers import initialization as init

from eomt.collectives import sum_over_processes
from eomt.initialization import InitializedModule

STEM_WIDTH = 64  # for every size of the encoder


class AdapterConv2d(nn.Conv2d, InitializedModule):
    """A convolution whose initial weights keep the variance of gradients."""

    def initialize_tensors(self, config: PreTrainedConfig) -> None:
        fan_out = self.kernel_size[0] * self.kernel_size[1] * self.out_channels // self.groups
        init.normal_(self.weight, std=math.sqrt(2 / fan_out))
        if self.bias is not None:
            init.zeros_(self.bias)


class AdapterBatchNorm(nn.BatchNorm2d, InitializedModule):
    """Batch normalisation over the images of all processes, on any device. PyTorch's own is for GPUs alone."""

    def initialize_tensors(self, config: PreTrainedConfig) -> None:
        init.ones_(self.weight)
        init.zeros_(self.bias)
        init.zeros_(self.running_mean)
        init.ones_(self.running_var)
        init.zeros_(self.num_batches_tracked)

    def forward(self, features: Tensor) -> Tensor:
        """(B, D, h, w) -> (B, D, h, w)."""
        if not self.training or not dist.is_initialized() or dist.get_world_size() == 1:
            return super().forward(features)
        wide, width = features.float(), features.shape[1]
        count = wide.new_tensor([wide.numel() / width])  # (1,)
        sums, count = sum_over_processes(torch.cat([wide.sum((0, 2, 3)), count])).split([width, 1])
        centred = wide - (sums / count)[:, None, None]
        variance = sum_over_processes(centred.square().sum((0, 2, 3))) / count  # (D,)
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(sums / count, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        scale = (variance + self.eps).rsqrt() * self.weight
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(features.dtype)


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
