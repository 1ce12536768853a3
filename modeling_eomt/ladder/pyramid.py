"""The feature pyramid of a plain ViT, which takes ViT-Adapter's place from row 1 of Table 1 on (paper, section 3.2).

Shapes: `B` images, `D` width, `H, W` pixels, `h, w` patches (H / 16, W / 16).
"""

from torch import Tensor, nn
from transformers.activations import ACT2FN

from eomt.configuration import EomtLadderConfig
from eomt.mask_module import EomtScaleLayer


class DownscaleLayer(nn.Module):
    """Halves height and width: 2x2 convolution of stride 2, GELU, depthwise 3x3 convolution, LayerNorm over channels."""

    def __init__(self, config: EomtLadderConfig):
        super().__init__()
        width = config.hidden_size
        self.conv1 = nn.Conv2d(width, width, kernel_size=2, stride=2)
        self.activation = ACT2FN[config.hidden_act]
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, padding=1, groups=width, bias=False)
        self.layernorm2d = nn.LayerNorm(width, eps=1e-6)

    def forward(self, features: Tensor) -> Tensor:
        """(B, D, h, w) -> (B, D, h / 2, w / 2). An odd last row or column is left out."""
        features = self.conv2(self.activation(self.conv1(features)))
        return self.layernorm2d(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class FeaturePyramid(nn.Module):
    """Maps at 1/4, 1/8, 1/16 and 1/32 of the image, each made from the last patches alone (rows 1 and 2)."""

    def __init__(self, config: EomtLadderConfig):
        super().__init__()
        self.to_quarter = nn.Sequential(EomtScaleLayer(config), EomtScaleLayer(config))
        self.to_eighth = EomtScaleLayer(config)
        self.to_thirty_second = DownscaleLayer(config)

    def forward(self, patches: Tensor) -> list[Tensor]:
        """(B, D, h, w) -> (B, D, H / 4, W / 4) to (B, D, H / 32, W / 32)."""
        return [self.to_quarter(patches), self.to_eighth(patches), patches, self.to_thirty_second(patches)]


class SingleScale(nn.Module):
    """The patches as they are, and their map at 1/4, of which masks are made (row 3)."""

    def __init__(self, config: EomtLadderConfig):
        super().__init__()
        self.to_quarter = nn.Sequential(EomtScaleLayer(config), EomtScaleLayer(config))

    def forward(self, patches: Tensor) -> list[Tensor]:
        """(B, D, h, w) -> (B, D, H / 4, W / 4) and (B, D, h, w)."""
        return [self.to_quarter(patches), patches]
