"""Deformable attention against transformers' own, and against four nested loops."""

import math

import pytest
import torch
from transformers.models.mask2former.modeling_mask2former import Mask2FormerPixelDecoderEncoderMultiscaleDeformableAttention

from eomt.ladder.deformable_attention import POINTS, DeformableAttention, map_centres

SIZES = [(6, 9), (3, 5), (2, 2)]
WIDTH, HEADS, QUERIES = 32, 4, 7


@pytest.fixture
def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries (2, N, D), their centres (N, 2), and values of three maps."""
    torch.manual_seed(0)
    cells = sum(height * width for height, width in SIZES)
    return torch.randn(2, QUERIES, WIDTH), torch.rand(QUERIES, 2), torch.randn(2, cells, WIDTH)


def randomised(attention: torch.nn.Module) -> torch.nn.Module:
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.normal_(std=0.5)
    return attention


@torch.no_grad()
def test_at_full_width_it_equals_transformers(inputs):
    queries, centres, values = inputs
    ours = randomised(DeformableAttention(WIDTH, HEADS, len(SIZES), ratio=1.0))
    stock = Mask2FormerPixelDecoderEncoderMultiscaleDeformableAttention(WIDTH, HEADS, len(SIZES), POINTS)
    stock.load_state_dict(ours.state_dict())
    expected, _ = stock(
        queries,
        encoder_hidden_states=values,
        reference_points=centres[None, :, None].expand(2, -1, len(SIZES), -1),
        spatial_shapes_list=SIZES,
    )
    torch.testing.assert_close(ours(queries, centres, values, SIZES), expected, atol=1e-5, rtol=0)


def bilinear(feature: torch.Tensor, x: float, y: float) -> torch.Tensor:
    """(h, w, E) at a point in cells, whose centres are at halves; zeros outside."""
    left, top = math.floor(x - 0.5), math.floor(y - 0.5)
    value = torch.zeros(feature.shape[2])
    for row in (top, top + 1):
        for column in (left, left + 1):
            if 0 <= row < feature.shape[0] and 0 <= column < feature.shape[1]:
                value += (1 - abs(x - 0.5 - column)) * (1 - abs(y - 0.5 - row)) * feature[row, column]
    return value


@torch.no_grad()
def test_at_half_width_it_equals_loops_over_queries_heads_levels_and_points(inputs):
    queries, centres, values = inputs
    attention = randomised(DeformableAttention(WIDTH, HEADS, len(SIZES)))
    offsets = attention.sampling_offsets(queries).view(2, QUERIES, HEADS, len(SIZES), POINTS, 2)
    weights = attention.attention_weights(queries).view(2, QUERIES, HEADS, -1).softmax(-1)
    parts = attention.value_proj(values).split([height * width for height, width in SIZES], dim=1)
    gathered = torch.zeros(2, QUERIES, HEADS, WIDTH // 2 // HEADS)
    for image in range(2):
        for query in range(QUERIES):
            for head in range(HEADS):
                for level, (height, width) in enumerate(SIZES):
                    feature = parts[level][image].view(height, width, HEADS, -1)[:, :, head]
                    for point in range(POINTS):
                        x, y = offsets[image, query, head, level, point].tolist()
                        sampled = bilinear(feature, centres[query, 0].item() * width + x, centres[query, 1].item() * height + y)
                        gathered[image, query, head] += weights[image, query, head, level * POINTS + point] * sampled
    expected = attention.output_proj(gathered.flatten(2))
    torch.testing.assert_close(attention(queries, centres, values, SIZES), expected, atol=1e-5, rtol=0)


def test_centres_are_those_of_cells_row_by_row():
    assert map_centres((2, 4), torch.device("cpu")).tolist() == [[x / 8, y / 4] for y in (1, 3) for x in (1, 3, 5, 7)]


def test_at_the_start_heads_look_in_all_directions_from_growing_distances():
    attention = DeformableAttention(WIDTH, HEADS, 2)
    attention.sampling_offsets.initialize_tensors(None)
    offsets = attention.sampling_offsets.bias.view(HEADS, 2, POINTS, 2)
    assert attention.sampling_offsets.weight.abs().max() == 0
    torch.testing.assert_close(offsets[0, 1], torch.tensor([[1.0, 0], [2, 0], [3, 0], [4, 0]]))
    torch.testing.assert_close(offsets[3, 0, 3], torch.tensor([0.0, -4]), atol=1e-5, rtol=0)
