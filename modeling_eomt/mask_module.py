"""The mask module's parts: upscaled patch features and mask embeddings (paper, sections 3.2 and 3.3).

Shapes: `B` images, `Q` queries, `D` width, `h, w` patches, `s` the upscaling factor (4 at patch size 16).
"""

import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer

from eomt.configuration import EomtBaseConfig
from eomt.recomputing import recomputed
from eomt.upsampling import Upsampling


class EomtScaleLayer(nn.Module):
    """Doubles height and width: transposed 2x2 convolution, GELU, depthwise 3x3 convolution, LayerNorm over channels."""

    def __init__(self, config: EomtBaseConfig):
        super().__init__()
        width = config.hidden_size
        self.conv1 = Upsampling(width)
        self.activation = ACT2FN[config.hidden_act]
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, padding=1, groups=width, bias=False)
        self.layernorm2d = nn.LayerNorm(width, eps=1e-6)

    def forward(self, features: Tensor) -> Tensor:
        """(B, D, h, w) -> (B, D, 2h, 2w), both stored channels-last, so that the LayerNorm needs no copy."""
        return recomputed(self._refine, self.conv1(features))  # these maps are the largest of a training step

    def _refine(self, features: Tensor) -> Tensor:
        features = self.conv2(self.activation(features))
        return self.layernorm2d(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class EomtScaleBlock(GradientCheckpointingLayer):
    """The upscaling layers in a row: (B, D, h, w) -> (B, D, s * h, s * w)."""

    def __init__(self, config: EomtBaseConfig):
        super().__init__()
        self.block = nn.ModuleList([EomtScaleLayer(config) for _ in range(config.num_upscale_blocks)])

    def forward(self, features: Tensor) -> Tensor:
        features = features.contiguous(memory_format=torch.channels_last)
        for layer in self.block:
            features = layer(features)
        return features


class EomtMaskHead(nn.Module):
    """Three-layer MLP from query tokens to mask embeddings, (B, Q, D) -> (B, Q, D)."""

    def __init__(self, config: EomtBaseConfig):
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.hidden_size)
        self.fc2 = nn.Linear(config.hidden_size, config.hidden_size)
        self.fc3 = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = ACT2FN[config.hidden_act]

    def forward(self, queries: Tensor) -> Tensor:
        return self.fc3(self.activation(self.fc2(self.activation(self.fc1(queries)))))
