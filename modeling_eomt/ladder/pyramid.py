"""The feature pyramid of a plain ViT, which takes ViT-Adapter's place from row 1 of Table 1 on (paper, section 3.2).

Shapes: `B` images, `D` width, `H, W` pixels, `h, w` patches (H / 16, W / 16).
"""

from torch import Tensor, nn

from eomt.configuration import EomtLadderConfig
from eomt.mask_module import EomtScaleLayer


class DownscaleLayer(EomtScaleLayer):
    """Halves height and width, in place of doubling them: its first convolution has a stride of 2 and isn't transposed.

    (B, D, h, w) -> (B, D, h / 2, w / 2). An odd last row or column is left out.
    """

    def __init__(self, config: EomtLadderConfig):
        super().__init__(config)
        self.conv1 = nn.Conv2d(config.hidden_size, config.hidden_size, kernel_size=2, stride=2)


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
