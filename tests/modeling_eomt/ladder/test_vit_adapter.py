"""ViT-Adapter: what holds whatever its weights, and its parameters by part."""

from functools import partial

import pytest
import torch
from torch import nn

from eomt import EomtLadderForUniversalSegmentation
from eomt.configuration import ARCHITECTURES, ladder_architecture
from eomt.encoders.patch_tokens import PatchTokens
from eomt.ladder.vit_adapter import ViTAdapter
from eomt.randomness import ImageDraws


@pytest.fixture
def model_type() -> str:
    return "eomt_ladder"


@torch.no_grad()
def test_at_the_start_the_vit_is_its_own_and_injections_change_it(tiny_model):
    model = tiny_model()
    pixel_values, seen = torch.randn(2, 3, 64, 96), []
    tokens = model.embeddings(pixel_values, (4, 6))
    plain = model.encode(tokens, slice(None), PatchTokens((4, 6), None))

    def encode(tokens: torch.Tensor, blocks: slice) -> torch.Tensor:
        seen.append((blocks.start, blocks.stop))
        encode.tokens = model.encode(tokens, blocks, PatchTokens((4, 6), None))
        return encode.tokens

    model.pyramid(pixel_values, tokens, (4, 6), encode)
    assert not torch.isclose(encode.tokens, plain, atol=1e-3).all()
    for interaction in model.pyramid.interactions:
        interaction.injector.gamma.zero_()
    model.pyramid(pixel_values, tokens, (4, 6), encode)
    assert torch.equal(encode.tokens, plain) and seen[:4] == [(0, 1), (1, 2), (2, 3), (3, 4)]


@torch.no_grad()
@pytest.mark.parametrize("size", [(64, 64), (32, 96)])
def test_maps_have_a_quarter_to_a_thirty_second_of_the_image(tiny_model, size):
    height, width = size
    maps = tiny_model().feature_maps(torch.randn(2, 3, height, width), ImageDraws())
    assert [tuple(feature.shape) for feature in maps] == [(2, 64, height // part, width // part) for part in (4, 8, 16, 32)]


class FeatureMaps(nn.Module):
    """What of a model comes before Mask2Former."""

    def __init__(self, model: EomtLadderForUniversalSegmentation):
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> list[torch.Tensor]:
        return self.model.feature_maps(pixel_values, ImageDraws())


@torch.no_grad()
def test_export_for_any_size_of_images_and_batch(tiny_model):
    maps, dynamic = FeatureMaps(tiny_model()), torch.export.Dim.DYNAMIC
    program = torch.export.export(maps, (torch.randn(2, 3, 64, 96),), dynamic_shapes=({0: dynamic, 2: dynamic, 3: dynamic},))
    for shape in ((1, 3, 64, 64), (2, 3, 96, 128), (3, 3, 128, 64)):
        pixel_values = torch.randn(shape)
        torch.testing.assert_close(program.module()(pixel_values), maps(pixel_values), atol=1e-5, rtol=0)


def test_every_parameter_gets_a_gradient(tiny_model):
    model = tiny_model().train()
    pixel_values = torch.randn(2, 3, 64, 64)
    tokens = model.embeddings(pixel_values, (4, 4))
    maps = model.pyramid(pixel_values, tokens, (4, 4), partial(model.encode, patches=PatchTokens((4, 4), None)))
    sum((feature * torch.randn_like(feature)).sum() for feature in maps).backward()
    assert not [name for name, parameter in model.pyramid.named_parameters() if not parameter.grad.abs().max() > 0]


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def attention_count(width: int, heads: int, levels: int) -> int:
    """Offsets and weights of 4 points, values of half the width, output."""
    return (width + 1) * 12 * heads * levels + (width + 1) * width // 2 + width // 2 * width + width


@pytest.mark.parametrize("name", ["small", "base", "large", "giant"])
def test_parameters_by_part(name):
    width, heads = ARCHITECTURES[name]["hidden_size"], ARCHITECTURES[name]["num_attention_heads"]
    with torch.device("meta"):
        adapter = ViTAdapter(ladder_architecture(name, row=0))
    assert count(adapter.spatial_prior) == 1_035_584 + 708 * width
    quarter = width // 4
    feed_forward = width * quarter + quarter + 10 * quarter + quarter * width + width
    for index, interaction in enumerate(adapter.interactions):
        assert count(interaction.injector) == attention_count(width, heads, 3) + 5 * width
        assert len(interaction.extractors) == (3 if index == 3 else 1)
        for extractor in interaction.extractors:
            assert count(extractor) == attention_count(width, heads, 1) + feed_forward + 6 * width
    assert (
        count(adapter.up) == 4 * width**2 + width and count(adapter.norms) == 8 * width and adapter.level_embed.numel() == 3 * width
    )
    if name in ("small", "large"):
        assert count(adapter) == {"small": 4_353_680, "large": 23_236_800}[name]
