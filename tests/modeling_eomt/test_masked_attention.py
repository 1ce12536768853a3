"""Masked attention against a brute-force reference: an explicit N x N mask for every image, in plain torch."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from eomt import EomtForUniversalSegmentation
from eomt.masked_attention import query_attention_mask


def brute_force_mask(mask_logits: Tensor, grid: tuple[int, int], prefix: int, unmasked: Tensor) -> Tensor:
    """bool (B, N, N), filled entry by entry: only rows of queries and columns of patches are ever closed."""
    batch, queries = mask_logits.shape[:2]
    tokens = queries + prefix + grid[0] * grid[1]
    allowed = torch.ones(batch, tokens, tokens, dtype=torch.bool)
    resized = F.interpolate(mask_logits, size=grid, mode="bilinear", align_corners=False, antialias=False)
    for image in range(batch):
        for query in range(queries):
            for row in range(grid[0]):
                for column in range(grid[1]):
                    inside = bool(resized[image, query, row, column].sigmoid() > 0.5) or bool(unmasked[image, query])
                    allowed[image, query, queries + prefix + row * grid[1] + column] = inside
    return allowed


def brute_force_forward(model: EomtForUniversalSegmentation, pixel_values: Tensor, unmasked: list[Tensor | None]):
    """The whole forward with softmax attention over N x N masks; `unmasked` holds (B, Q) a block, None for no masking."""
    config, grid = model.config, model.embeddings.patch_embeddings.grid_of(pixel_values)
    heads, prefix = config.num_attention_heads, 1 + config.num_register_tokens
    tokens = model.embeddings(pixel_values, grid)
    for index, layer in enumerate(model.layers):
        block, allowed = index - (len(model.layers) - config.num_blocks), None
        if block == 0:
            tokens = torch.cat([model.query.weight.expand(len(tokens), -1, -1), tokens], dim=1)
        if block >= 0 and unmasked[block] is not None:
            logits = model.predict(model.layernorm(tokens), grid).mask_logits
            allowed = brute_force_mask(logits, grid, prefix, unmasked[block])
        attention, normed = layer.attention, layer.norm1(tokens)
        q, k, v = (
            part(normed).unflatten(2, (heads, -1)).transpose(1, 2)
            for part in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        scores = q @ k.mT / q.shape[-1] ** 0.5
        if allowed is not None:
            scores = scores.masked_fill(~allowed[:, None], -torch.inf)
        attended = attention.out_proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
        tokens = tokens + layer.layer_scale1.lambda1 * attended
        tokens = tokens + layer.layer_scale2.lambda1 * layer.mlp(layer.norm2(tokens))
    return model.predict(model.layernorm(tokens), grid)[:2]


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("registers", [4, 0])
@torch.no_grad()
def test_evaluation_equals_brute_force(tiny_model, implementation, registers):
    model = tiny_model(probs=[1.0, 1.0], num_register_tokens=registers, attn_implementation=implementation)
    pixel_values = torch.randn(2, 3, 64, 96)
    all_masked = torch.zeros(2, 8, dtype=torch.bool)
    for probs in ([1.0, 1.0], [0.0, 1.0], [1.0, 0.0], [0.5, 0.49]):
        model.set_attn_mask_probs(probs)
        outputs = model(pixel_values)
        expected = brute_force_forward(model, pixel_values, [all_masked if p >= 0.5 else None for p in probs])
        torch.testing.assert_close((outputs.masks_queries_logits, outputs.class_queries_logits), expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_training_equals_brute_force_at_the_draws_made(tiny_model, monkeypatch):
    model = tiny_model(probs=[0.7, 0.2]).train()
    drawn, rand = [], torch.rand
    monkeypatch.setattr(torch, "rand", lambda *shape, **options: drawn.append(rand(*shape, **options)) or drawn[-1])
    pixel_values = torch.randn(3, 3, 64, 64)
    outputs = model(pixel_values)
    assert [tuple(draw.shape) for draw in drawn] == [(3, 8), (3, 8)]  # anew for every image, query and block
    expected = brute_force_forward(model, pixel_values, [drawn[0] > 0.7, drawn[1] > 0.2])
    torch.testing.assert_close((outputs.masks_queries_logits, outputs.class_queries_logits), expected, atol=1e-5, rtol=0)


def test_only_rows_of_queries_and_columns_of_patches_are_closed():
    mask_logits = torch.randn(2, 3, 16, 24)
    unmasked = torch.tensor([[True, False, False], [False, False, True]])
    mask = query_attention_mask(mask_logits, (4, 6), 5, unmasked)
    expected = brute_force_mask(mask_logits, (4, 6), 5, unmasked)
    assert mask.dtype == torch.bool and mask.shape == (2, 1, 3, 3 + 5 + 24)  # shared by the heads
    assert torch.equal(mask[:, 0], expected[:, :3])
    assert expected[:, 3:].all()


def test_an_empty_mask_leaves_queries_and_prefix():
    mask = query_attention_mask(torch.full((1, 3, 16, 16), -50.0), (4, 4), 5)
    assert mask[0, 0].sum(1).tolist() == [8, 8, 8]


@torch.no_grad()
def test_an_empty_mask_gives_numbers(tiny_model):
    model = tiny_model(probs=1.0)
    model.mask_head.fc3.weight.zero_()
    model.mask_head.fc3.bias.zero_()  # every mask logit is 0, which is outside
    for implementation in ("sdpa", "eager"):
        model.set_attn_implementation(implementation)
        assert model(torch.randn(1, 3, 64, 64)).class_queries_logits.isfinite().all()


@torch.no_grad()
def test_evaluation_never_draws(tiny_model, monkeypatch):
    model = tiny_model(probs=0.7)
    monkeypatch.setattr(torch, "rand", None)  # a draw would raise
    pixel_values = torch.randn(2, 3, 64, 64)
    masked = model(pixel_values)
    assert torch.equal(masked.masks_queries_logits, model(pixel_values).masks_queries_logits)
    model.set_attn_mask_probs([1, 1])
    assert torch.equal(masked.masks_queries_logits, model(pixel_values).masks_queries_logits)
    model.set_attn_mask_probs([0.49, 0.1])
    unmasked = model(pixel_values)
    model.set_attn_mask_probs([0, 0])
    assert torch.equal(unmasked.masks_queries_logits, model(pixel_values).masks_queries_logits)
    assert not torch.equal(unmasked.masks_queries_logits, masked.masks_queries_logits)


@torch.no_grad()
def test_the_share_of_masked_queries_is_the_probability(tiny_model, monkeypatch):
    seen = []

    def recorded(mask_logits, grid, num_prefix_tokens, unmasked=None):
        seen.append(unmasked)
        return query_attention_mask(mask_logits, grid, num_prefix_tokens, unmasked)

    monkeypatch.setattr("eomt.modeling_eomt.query_attention_mask", recorded)
    model = tiny_model(probs=[0.8, 0.25], num_queries=100).train()
    pixel_values = torch.randn(4, 3, 64, 64)
    for _ in range(10):
        model(pixel_values)
    for block, probability in enumerate((0.8, 0.25)):
        draws = torch.stack(seen[block::2])  # (10, 4, 100)
        assert 1 - draws.float().mean().item() == pytest.approx(probability, abs=0.04)  # 4000 draws: 5 standard deviations
        assert len(draws.flatten(0, 1).unique(dim=0)) == 40  # no two images or steps alike


@torch.no_grad()
def test_probabilities_of_one_and_zero_draw_nothing_that_matters(tiny_model):
    model, pixel_values = tiny_model(), torch.randn(2, 3, 64, 64)
    for probs in ([1, 1], [0, 0], [0, 1], [1, 0]):
        model.set_attn_mask_probs(probs)
        evaluated = model.eval()(pixel_values).masks_queries_logits
        torch.testing.assert_close(model.train()(pixel_values).masks_queries_logits, evaluated, atol=1e-6, rtol=0)


class TestMaskingProbabilities:
    def test_the_setter_checks(self, tiny_model):
        model = tiny_model(probs=1.0)
        for wrong in ([0.5], [0.5, 1.1], [-0.1, 0], [float("nan"), 0]):
            with pytest.raises(ValueError, match=r"probs=.*2 numbers in \[0, 1\]"):
                model.set_attn_mask_probs(wrong)
        assert model.attn_mask_probs.tolist() == [1, 1]

    @torch.no_grad()
    def test_writing_to_the_buffer_holds_from_the_next_train_or_eval(self, tiny_model):
        model, pixel_values = tiny_model(probs=1.0), torch.randn(1, 3, 64, 64)
        masked = model(pixel_values).masks_queries_logits
        model.attn_mask_probs.zero_()
        unmasked = model.eval()(pixel_values).masks_queries_logits
        assert not torch.equal(masked, unmasked)
        model.attn_mask_probs = torch.ones(2)
        assert torch.equal(model.eval()(pixel_values).masks_queries_logits, masked)
        model.load_state_dict({**model.state_dict(), "attn_mask_probs": torch.zeros(2)})
        assert torch.equal(model(pixel_values).masks_queries_logits, unmasked)
        model.load_state_dict({**model.state_dict(), "attn_mask_probs": torch.ones(2)}, assign=True)
        assert torch.equal(model(pixel_values).masks_queries_logits, masked)
        with torch.inference_mode():
            model.attn_mask_probs.zero_()
            assert torch.equal(model.eval()(pixel_values).masks_queries_logits, unmasked)

    @torch.no_grad()
    def test_writes_that_pytorch_does_not_count_hold_on_the_cpu(self, tiny_model):
        model, pixel_values = tiny_model(probs=1.0), torch.randn(1, 3, 64, 64)
        masked = model(pixel_values).masks_queries_logits
        model.attn_mask_probs.data.zero_()
        assert not torch.equal(model(pixel_values).masks_queries_logits, masked)
        model.attn_mask_probs.numpy()[:] = 1
        assert torch.equal(model(pixel_values).masks_queries_logits, masked)

    def test_evaluation_losses_have_as_many_terms_at_any_state_of_annealing(self, tiny_model, segments):
        _, _, class_labels, mask_labels = segments([2])
        for probs in ([1.0, 1.0], [0.0, 0.6], [0.0, 0.0]):
            outputs = tiny_model(probs=probs)(torch.randn(1, 3, 64, 64), mask_labels, class_labels)
            assert len(outputs.loss_terms) == 9
