"""Models that merge tokens: what holds whatever is merged, and what is refused."""

import pytest
import torch
from torch import Tensor
from transformers import AutoModel

from eomt.token_merging import ALGM, MPM, merge_tokens
from eomt.token_merging.algm import local_grouping

LOCAL = ALGM(threshold=0.3, global_block=None)  # of the tiny models, whose features are random
GLOBAL = ALGM(local_block=None, global_block=2)
BOTH = ALGM(threshold=0.3, local_block=1, global_block=2)
METHODS = [LOCAL, GLOBAL, BOTH, MPM((1, 2))]


@pytest.mark.every_encoder
class TestModels:
    @pytest.fixture
    def last_block(self, tiny_config):
        """The last before the queries join."""
        return tiny_config().num_hidden_layers - tiny_config().num_blocks

    @pytest.mark.parametrize("method", METHODS, ids=str)
    @torch.no_grad()
    def test_merges_and_restores(self, tiny_model, method, last_block):
        model, pixel_values = tiny_model(), smooth_images(2, (64, 96))
        plain = model(pixel_values)
        merge_tokens(model, method)
        lengths = token_counts(model, pixel_values)
        merged = model(pixel_values)
        assert merged.masks_queries_logits.shape == plain.masks_queries_logits.shape
        assert merged.last_hidden_state.shape == plain.last_hidden_state.shape
        assert merged.masks_queries_logits.isfinite().all() and not torch.equal(merged[0], plain[0])
        assert lengths[last_block - 1] < lengths[0] or method.blocks[0] == 1
        merge_tokens(model, None)
        assert torch.equal(model(pixel_values).masks_queries_logits, plain.masks_queries_logits)

    @torch.no_grad()
    def test_nothing_merged_is_exactly_the_plain_model(self, tiny_model):
        model, pixel_values = tiny_model(), torch.randn(2, 3, 64, 96)
        plain = model(pixel_values)
        for method in (ALGM(threshold=1.0, global_block=None), ALGM(local_block=None, global_block=None), MPM(())):
            merge_tokens(model, method)
            merged = model(pixel_values)
            assert torch.equal(merged.masks_queries_logits, plain.masks_queries_logits)
            assert torch.equal(merged.last_hidden_state, plain.last_hidden_state)

    @pytest.mark.parametrize("method", METHODS, ids=str)
    @torch.no_grad()
    def test_the_order_of_a_batch_does_not_matter(self, tiny_model, method):
        model, pixel_values, order = tiny_model(), smooth_images(3, (96, 64)), torch.tensor([2, 0, 1])
        merge_tokens(model, method)
        first, second = (model(pixels).masks_queries_logits for pixels in (pixel_values, pixel_values[order]))
        torch.testing.assert_close(first[order], second, atol=1e-4, rtol=0)

    @torch.no_grad()
    def test_per_image_results_are_those_of_the_image_alone(self, tiny_model):
        model, pixel_values = tiny_model(), smooth_images(3, (64, 96))
        merge_tokens(model, BOTH)
        alone = [model(image) for image in pixel_values.split(1)]
        together = model(pixel_values)
        merge_tokens(model, BOTH, per_image=True)
        by_image = model(pixel_values)
        for name in ("masks_queries_logits", "class_queries_logits", "last_hidden_state"):
            expected = torch.cat([outputs[name] for outputs in alone])
            assert torch.equal(by_image[name], expected) and not torch.equal(together[name], expected)

    @torch.no_grad()
    def test_labels_give_a_loss(self, tiny_model, segments):
        model = tiny_model()
        id_maps, segment_ids, class_labels, _ = segments([2, 1])
        labels = dict(id_maps=id_maps, segment_ids=segment_ids, class_labels=class_labels)
        for per_image in (False, True):
            merge_tokens(model, BOTH, per_image=per_image)
            outputs = model(smooth_images(2, (64, 64)), **labels)
            assert outputs.loss.isfinite() and len(outputs.block_predictions) == len(model.attn_mask_probs)

    @torch.no_grad()
    def test_bfloat16(self, tiny_model):
        model, pixel_values = tiny_model(), smooth_images(2, (64, 96))
        merge_tokens(model, BOTH)
        expected = model(pixel_values).masks_queries_logits
        with torch.autocast("cpu", torch.bfloat16):
            under_autocast = model(pixel_values).masks_queries_logits
        in_bfloat16 = model.bfloat16()(pixel_values.bfloat16()).masks_queries_logits
        for logits in (under_autocast, in_bfloat16):
            assert (
                logits.isfinite().all()
                and torch.nn.functional.cosine_similarity(logits.flatten().float(), expected.flatten(), 0) > 0.98
            )

    @pytest.mark.parametrize("method", [BOTH, MPM((1, 2))], ids=str)
    @torch.no_grad()
    def test_eager_attention_equals_sdpa(self, tiny_model, method):
        model, pixel_values = tiny_model(), smooth_images(2, (64, 96))
        merge_tokens(model, method)
        expected = model(pixel_values).masks_queries_logits
        model.set_attn_implementation("eager")
        torch.testing.assert_close(model(pixel_values).masks_queries_logits, expected, atol=1e-4, rtol=0)

    def test_nothing_is_stored(self, tiny_model, tmp_path):
        model = tiny_model()
        model.save_pretrained(tmp_path / "plain")
        merge_tokens(model, BOTH, per_image=True)
        model.save_pretrained(tmp_path / "merging")
        for name in ("config.json", "model.safetensors"):
            assert (tmp_path / "plain" / name).read_bytes() == (tmp_path / "merging" / name).read_bytes()
        again = AutoModel.from_pretrained(tmp_path / "merging")
        assert again.token_merging is None and not again.image_by_image

    def test_training_and_export_are_refused(self, tiny_model):
        model = tiny_model()
        merge_tokens(model, BOTH)
        with pytest.raises(ValueError, match=r"evaluation.*eval\(\) first, or merge_tokens\(model, None\)"):
            model.train()(torch.randn(1, 3, 64, 64))
        with pytest.raises(ValueError, match="exported"), torch.no_grad():
            torch.export.export(model.eval(), (), {"pixel_values": torch.randn(1, 3, 64, 64)})

    def test_blocks_with_queries_and_blocks_that_are_not_there_are_refused(self, tiny_model, last_block):
        model = tiny_model()
        for method in (ALGM(local_block=1, global_block=last_block + 1), ALGM(local_block=0), MPM((1, 5))):
            with pytest.raises(ValueError, match=rf"1\.\.{last_block}"):
                merge_tokens(model, method)
        assert model.token_merging is None


def smooth_images(batch: int, size: tuple[int, int]) -> Tensor:
    """(B, 3, H, W), coarse in one half and noise in the other; each image of a batch has more noise than the one before."""
    torch.manual_seed(1)
    height, width = size
    coarse = torch.randn(batch, 3, 2, 2).repeat_interleave(height // 2, 2).repeat_interleave(width // 2, 3)
    noise = torch.randn(batch, 3, height, width)
    noise[..., : width // 2] = 0
    return coarse + torch.linspace(0.5, 1, batch)[:, None, None, None] * noise


def equal_windows() -> Tensor:
    """(2, 3, 64, 96), in windows of four equal patches."""
    torch.manual_seed(1)
    patches = torch.randn(2, 3, 16, 2, 1, 16, 3, 1).expand(-1, -1, -1, -1, 2, -1, -1, 2)
    return patches.permute(0, 1, 3, 4, 2, 6, 7, 5).reshape(2, 3, 64, 96)


@torch.no_grad()
def token_counts(model: torch.nn.Module, pixel_values: Tensor) -> list[int]:
    """The tokens that leave each block."""
    counts = []
    hooks = [layer.register_forward_hook(lambda _, __, output: counts.append(output.shape[1])) for layer in model.layers]
    model(pixel_values)
    for hook in hooks:
        hook.remove()
    return counts


@torch.no_grad()
def test_class_registers_and_queries_are_kept(tiny_model):
    model, pixel_values = tiny_model(), smooth_images(1, (64, 96))
    merge_tokens(model, BOTH)
    model.set_attn_implementation("eager")  # which gives attentions
    outputs = model(pixel_values, output_attentions=True, output_hidden_states=True)
    attended = [attention.shape[3] for attention in outputs.attentions]
    entered = [states.shape[1] for states in outputs.hidden_states]
    assert attended[0] == entered[0] == 5 + 24  # merged after the attention of the first block
    assert 5 < entered[2] < attended[1] == entered[1] < attended[0]
    assert attended[2:] == [8 + entered[2]] * 2 == entered[3:4] * 2  # the queries
    assert entered[4] == outputs.last_hidden_state.shape[1] == 8 + 5 + 24


@pytest.mark.parametrize("method", [ALGM(threshold=0.999, global_block=None), MPM((2,))], ids=str)
@torch.no_grad()
def test_merging_equal_tokens_changes_nothing(tiny_model, method):
    """A merged token of k patches then weighs as k equal tokens, in blocks with and without queries."""
    model, pixel_values = tiny_model(), equal_windows()
    model.embeddings.position_embeddings.weight.zero_()
    plain = model(pixel_values)
    merge_tokens(model, method)
    counts = token_counts(model, pixel_values)
    assert counts[1] <= 5 + 18
    merged = model(pixel_values)
    for name in ("masks_queries_logits", "class_queries_logits", "last_hidden_state"):
        torch.testing.assert_close(merged[name], plain[name], atol=1e-5, rtol=0)
    merge_tokens(model, method, proportional=False)
    assert (model(pixel_values).masks_queries_logits - plain.masks_queries_logits).abs().max() > 1e-3


@torch.no_grad()
def test_attention_with_a_bias_is_attention_over_repeated_tokens(tiny_model):
    attention, tokens = tiny_model().layers[0].attention, torch.randn(2, 7, 64)
    sizes = torch.tensor([3, 1, 4, 2])
    repeated = torch.cat([tokens[:, :3], tokens[:, 3:].repeat_interleave(sizes, 1)], dim=1)
    first = torch.cat([torch.arange(3), 3 + sizes.cumsum(0) - sizes])
    expected = attention(repeated)[0][:, first]
    bias = sizes.float().log().expand(2, 1, 1, -1)
    torch.testing.assert_close(attention(tokens, key_bias=bias)[0], expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("row", [0, 1, 2, 3])
@pytest.mark.parametrize("model_type", ["eomt_ladder"])
@torch.no_grad()
def test_rows_of_the_ladder_merge_with_their_decoders_masked(tiny_model, row):
    model, pixel_values = tiny_model(probs=1.0, row=row), equal_windows()
    model.embeddings.position_embeddings.weight.zero_()
    if row == 0:  # spatial features would make the patches of a window differ
        for interaction in model.pyramid.interactions:
            interaction.injector.gamma.zero_()
    plain = model(pixel_values)
    merge_tokens(model, ALGM(threshold=0.999, global_block=None))
    assert token_counts(model, pixel_values) == [5 + 6] * 4  # also after ViT-Adapter's interactions, which see all patches
    torch.testing.assert_close(model(pixel_values).masks_queries_logits, plain.masks_queries_logits, atol=1e-4, rtol=0)


@torch.no_grad()
def test_padding_merges_first(tiny_model):
    """In a batch with full photos, a padded photo gives up its padding before anything that it shows."""
    model = tiny_model()
    model.embeddings.position_embeddings.weight.mul_(0.01)  # as weak as in a pretrained model
    pixel_values = torch.randn(2, 3, 128, 128) + torch.tensor([1.0, 5])[:, None, None, None]  # the full photo is smoother
    pixel_values[0, :, :, 96:] = 0
    layer, tokens = model.layers[0], model.embeddings(pixel_values, (8, 8))
    attended = tokens + layer.layer_scale1(layer.attention(layer.norm1(tokens))[0])
    grouping = local_grouping(attended[:, 5:], (8, 8), 0.3)
    firsts = [(grouping.groups[0] == window).nonzero().min().item() for window in range(4)]
    assert sorted(firsts) == [
        6,
        22,
        38,
        54,
    ]  # all windows of the padding


@pytest.mark.slow
def test_a_compiled_model_merges(tiny_model):
    torch._dynamo.reset()
    model = tiny_model()
    merge_tokens(model, BOTH)
    compiled = torch.compile(model, backend="eager")
    with torch.no_grad():
        for shape in ((2, (64, 96)), (1, (96, 64))):
            pixel_values = smooth_images(*shape)
            expected = model(pixel_values).masks_queries_logits
            torch.testing.assert_close(compiled(pixel_values=pixel_values).masks_queries_logits, expected, atol=1e-4, rtol=0)
    torch._dynamo.reset()


def test_masked_blocks_are_refused(tiny_model):
    model = tiny_model(probs=[0.0, 1.0])
    merge_tokens(model, BOTH)
    with pytest.raises(ValueError, match=r"masked.*set_attn_mask_probs with zeros.*merge_tokens\(model, None\)"):
        model(torch.randn(1, 3, 64, 64))


def test_other_models_are_refused(tiny_model):
    for other in (torch.nn.Linear(2, 2), torch.nn.DataParallel(tiny_model())):
        with pytest.raises(ValueError, match=f"model is a {type(other).__name__}.*give a model of this package"):
            merge_tokens(other, BOTH)


def test_wrong_settings_are_refused():
    for threshold in (95, -0.1, float("nan")):
        with pytest.raises(ValueError, match=r"threshold=.* 0\.\.1"):
            ALGM(threshold=threshold)
    for blocks in ((5, 5), (7, 5)):
        with pytest.raises(ValueError, match="local_block=. must come before global_block=5"):
            ALGM(0.9, *blocks)
