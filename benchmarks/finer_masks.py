"""Adds an upscale block that changes nothing to a trained model, so that it can be trained on with masks twice as fine.

    python benchmarks/finer_masks.py --checkpoint outputs/camvid/seed0/ours --out outputs/finer

The new block copies each cell to four: its transposed convolution is the identity at all four places, with a bias at which GELU is
linear; its depthwise convolution takes the middle; its LayerNorm removes the bias again and takes over scale and shift of the last
block's, which then has none. The checkpoint loads in transformers, with `num_upscale_blocks` one more. See docs/benchmarks.md
for what a training makes of it.
"""

import argparse

import torch
import torch.nn.functional as F
from transformers import AutoImageProcessor, AutoModelForUniversalSegmentation

import eomt  # noqa: F401  registers the model
from eomt.mask_module import EomtScaleLayer

LINEAR = 10.0  # from where on GELU(x) is x for normalised features


@torch.no_grad()
def with_finer_masks(model: torch.nn.Module) -> torch.nn.Module:
    """The model with one more upscale block, in place."""
    width, last = model.config.hidden_size, model.upscale_block.block[-1].layernorm2d
    block = EomtScaleLayer(model.config)
    block.conv1.weight.copy_(torch.eye(width)[:, :, None, None].expand(-1, -1, 2, 2))
    block.conv1.bias.fill_(LINEAR)
    block.conv2.weight.zero_()
    block.conv2.weight[:, :, 1, 1] = 1
    block.layernorm2d.load_state_dict(last.state_dict())
    last.weight.fill_(1)
    last.bias.zero_()
    model.upscale_block.block.append(block)
    model.config.num_upscale_blocks += 1
    return model


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--out", required=True, help="folder for the new checkpoint")
    args = parser.parse_args()
    model = AutoModelForUniversalSegmentation.from_pretrained(args.checkpoint).eval()
    images = torch.randn(2, 3, *model.config.image_size_hw)
    before = F.interpolate(model(images).masks_queries_logits, scale_factor=2)
    after = with_finer_masks(model)(images).masks_queries_logits
    error = (after - before).abs().mean() / before.abs().mean()
    print(f"mask logits differ by {error:.1e} of their mean; {((after > 0) == (before > 0)).float().mean():.4%} keep their sign")
    model.save_pretrained(args.out)
    AutoImageProcessor.from_pretrained(args.checkpoint).save_pretrained(args.out)


if __name__ == "__main__":
    main()
