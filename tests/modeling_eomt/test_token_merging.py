"""Token merging against slow implementations of its rules, and what holds whatever is merged."""

import math

import pytest
import torch
from torch import Tensor
from transformers import AutoModel

from eomt.encoders.patch_tokens import Grouping, PatchTokens, TokenMerging
from eomt.encoders.rotary import Rotation, partner_in_other_half
from eomt.token_merging import ALGM, MPM, merge_tokens
from eomt.token_merging.algm import global_grouping, local_grouping
from eomt.token_merging.mpm import pair_grouping

LOCAL = ALGM(threshold=0.3, global_block=None)  # of the tiny models, whose features are random
GLOBAL = ALGM(local_block=None, global_block=2)
BOTH = ALGM(threshold=0.3, local_block=1, global_block=2)
METHODS = [LOCAL, GLOBAL, BOTH, MPM((1, 2))]


def cosine(first: Tensor, second: Tensor) -> float:
    return (first @ second / first.norm() / second.norm()).item()


def random_patches(batch: int, grid: tuple[int, int], width: int = 6) -> Tensor:
    """(B, h * w, D), neighbours alike here and there."""
    height, width_ = grid
    coarse = torch.randn(batch, (height + 1) // 2, (width_ + 1) // 2, width)
    smooth = coarse.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, :height, :width_]
    return (smooth + torch.rand(batch, 1, 1, 1) * torch.randn(batch, height, width_, width)).flatten(1, 2)


def slow_local(patches: Tensor, grid: tuple[int, int], threshold: float) -> list[list[set[int]]]:
    """The patches of each token, image by image, from loops over windows and pairs."""
    height, width = grid
    found = []
    for image in patches:
        scores = {}
        for top in range(0, height - 1, 2):
            for left in range(0, width - 1, 2):
                window = [top * width + left, top * width + left + 1, (top + 1) * width + left, (top + 1) * width + left + 1]
                pairs = [cosine(image[a], image[b]) for a in window for b in window if a != b]
                scores[tuple(window)] = sum(pairs) / 12
        found.append(scores)
    count = min(sum(score >= threshold for score in scores.values()) for scores in found)
    tokens = []
    for scores in found:
        merged = sorted(scores, key=lambda window: -scores[window])[:count]
        rest = [{patch} for patch in range(height * width) if not any(patch in window for window in merged)]
        tokens.append([set(window) for window in merged] + rest)
    return tokens


def slow_global(patches: Tensor, block: int) -> list[list[set[int]]]:
    """The former tokens of each token, image by image, from loops over the tokens."""
    matches, means, deviations = [], [], []
    for image in patches:
        joined, joining = range(0, len(image), 2), range(1, len(image), 2)
        best = {a: max(joined, key=lambda b, a=a, image=image: cosine(image[a], image[b])) for a in joining}
        scores = {a: cosine(image[a], image[b]) for a, b in best.items()}
        values = list(scores.values())
        mean = sum(values) / len(values)
        means.append(mean)
        deviations.append(math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1)))
        matches.append((best, scores))
    threshold = sum(means) / len(means) + sum(deviations) / len(deviations) / block
    count = min(sum(score >= threshold for score in scores.values()) for _, scores in matches)
    tokens = []
    for image, (best, scores) in zip(patches, matches, strict=True):
        merged = sorted(scores, key=lambda a, scores=scores: -scores[a])[:count]
        kept = [{a} for a in scores if a not in merged]
        tokens.append(kept + [{b, *(a for a in merged if best[a] == b)} for b in range(0, len(image), 2)])
    return tokens


def slow_pairs(patches: Tensor) -> list[list[set[int]]]:
    pairs = []
    for image in patches:
        others = {a: [b for b in range(len(image)) if b != a] for a in range(len(image))}
        nearest = {a: max(others[a], key=lambda b, a=a, image=image: cosine(image[a], image[b])) for a in others}
        pairs.append({(a, b): cosine(image[a], image[b]) for a, b in nearest.items() if a < b and nearest[b] == a})
    count = min(map(len, pairs))
    tokens = []
    for image, scores in zip(patches, pairs, strict=True):
        merged = sorted(scores, key=lambda pair, scores=scores: -scores[pair])[:count]
        second = {b for _, b in merged}
        tokens.append([{a, *(b for first, b in merged if first == a)} for a in range(len(image)) if a not in second])
    return tokens


def as_sets(grouping: Grouping) -> list[list[set[int]]]:
    return [[set((row == group).nonzero()[:, 0].tolist()) for group in range(grouping.count)] for row in grouping.groups]


def merged_by(groups: Tensor, count: int, tokens: Tensor, **fields) -> tuple[Tensor, PatchTokens]:
    """Tokens merged by given groups, on a grid of one row."""

    class Given:
        blocks = (1,)

        def grouping(self, patches, grid, block, attended):
            return Grouping(groups, count, neighbours=fields.get("neighbours", False)) if block == 1 else None

    patches = PatchTokens((1, groups.shape[1]), fields.get("rotation"), TokenMerging(Given(), fields.get("proportional", True)))
    return patches.merged(tokens, 1, attended=True), patches


class TestGroupings:
    @pytest.mark.parametrize("grid", [(4, 6), (5, 7), (1, 6), (6, 3)])
    @pytest.mark.parametrize("batch", [1, 3])
    def test_local_equals_loops_over_windows(self, batch, grid):
        torch.manual_seed(0)
        counts = set()
        for threshold in (0.0, 0.4, 0.8):
            patches = random_patches(batch, grid)
            grouping = local_grouping(patches, grid, threshold)
            expected = slow_local(patches, grid, threshold)
            counts.add(len(expected[0]))
            if grouping is None:
                assert len(expected[0]) == grid[0] * grid[1]
            else:
                assert as_sets(grouping) == expected and grouping.neighbours
        assert len(counts) > 1 or grid[0] == 1  # thresholds matter

    @pytest.mark.parametrize("total", [24, 25, 7])
    @pytest.mark.parametrize(("batch", "block"), [(1, 5), (3, 2)])
    def test_global_equals_loops_over_tokens(self, batch, block, total):
        torch.manual_seed(0)
        patches = torch.randn(batch, total, 6)
        assert as_sets(global_grouping(patches, block)) == slow_global(patches, block)

    @pytest.mark.parametrize("total", [24, 25, 2])
    @pytest.mark.parametrize("batch", [1, 3])
    def test_pairs_equal_loops_over_tokens(self, batch, total):
        torch.manual_seed(0)
        patches = torch.randn(batch, total, 6)
        assert as_sets(pair_grouping(patches)) == slow_pairs(patches)

    def test_equal_similarities_are_taken_in_the_order_of_the_tokens(self):
        few, many = torch.randn(4, 8, 6), torch.ones(4, 8, 6)
        few[:2, :2] = 1  # one window of one image is alike, all windows of the other
        patches = torch.stack([few, many]).flatten(1, 2)
        assert as_sets(local_grouping(patches, (4, 8), 0.99))[1][0] == {0, 1, 8, 9}
        assert as_sets(pair_grouping(torch.ones(1, 5, 6))) == [[{0, 1}, {2}, {3}, {4}]]

    def test_nothing_to_merge_in_one_image_merges_nothing_in_the_batch(self):
        alike, different = torch.ones(16, 16), torch.eye(16)
        assert local_grouping(torch.stack([alike, different]), (4, 4), 0.5) is None
        assert local_grouping(alike[None], (4, 4), 0.5).count == 4
        for grouping in (local_grouping(torch.ones(1, 1, 4), (1, 1), 0.5), global_grouping(torch.ones(1, 2, 4), 1)):
            assert grouping is None
        assert pair_grouping(torch.ones(1, 1, 4)) is None

    def test_the_order_of_a_batch_does_not_matter(self):
        torch.manual_seed(0)
        patches, order = random_patches(3, (6, 8)), torch.tensor([2, 0, 1])
        for method in (lambda x: local_grouping(x, (6, 8), 0.1), lambda x: global_grouping(x, 2), pair_grouping):
            assert torch.equal(method(patches).groups[order], method(patches[order]).groups)

    def test_similarities_are_computed_in_float32(self):
        torch.manual_seed(0)
        patches = (10 + torch.randn(2, 24, 64)).bfloat16()  # cosines that bfloat16 rounds to 1
        for method in (lambda x: local_grouping(x, (4, 6), 0.985), lambda x: global_grouping(x, 2), pair_grouping):
            assert torch.equal(method(patches).groups, method(patches.float()).groups)


class TestPatchTokens:
    def test_means_sizes_and_restored_patches(self):
        tokens = torch.randn(2, 3 + 6, 4)
        first = torch.tensor([[0, 1, 0, 2, 3, 0], [3, 3, 2, 1, 0, 0]])
        merged, patches = merged_by(first, 4, tokens)
        assert torch.equal(merged[:, :3], tokens[:, :3])
        torch.testing.assert_close(merged[0, 3], tokens[0, [3, 5, 8]].mean(0))
        torch.testing.assert_close(merged[1, 6], tokens[1, [3, 4]].mean(0))
        torch.testing.assert_close(patches.key_bias[:, 0, 0].exp(), torch.tensor([[3.0, 1, 1, 1], [2, 1, 1, 2]]))
        restored = patches.restored(merged)
        assert restored.shape == tokens.shape and torch.equal(restored[:, :3], tokens[:, :3])
        for image in range(2):
            for patch in range(6):
                assert torch.equal(restored[image, 3 + patch], merged[image, 3 + first[image, patch]])
        torch.testing.assert_close(patches.grouped(restored), merged)

    def test_a_second_merge_weights_by_size(self):
        tokens = torch.randn(1, 8, 4)

        class Twice:
            blocks = (1, 2)

            def grouping(self, patches, grid, block, attended):
                return Grouping(torch.tensor([[0, 0, 0, 1, 2, 3, 4, 4]] if block == 1 else [[0, 1, 1, 0, 1]]), 8 - 3 * block, False)

        patches = PatchTokens((2, 4), None, TokenMerging(Twice(), proportional=True))
        merged = patches.merged(patches.merged(tokens, 1, attended=False), 2, attended=False)
        torch.testing.assert_close(merged[0, 0], tokens[0, [0, 1, 2, 5]].mean(0))
        torch.testing.assert_close(merged[0, 1], tokens[0, [3, 4, 6, 7]].mean(0))
        assert torch.equal(patches.restored(merged)[0], merged[0, [0, 0, 0, 1, 1, 0, 1, 1]])

    def test_neighbours_have_the_mean_position_and_others_that_of_the_largest(self):
        angles = torch.randn(1, 1, 6, 4)
        rotation, tokens = Rotation.by(angles, partner_in_other_half), torch.randn(2, 6, 4)
        groups = torch.tensor([[0, 1, 1, 0, 0, 2], [2, 1, 1, 1, 0, 2]])
        _, patches = merged_by(groups, 3, tokens, rotation=rotation, neighbours=True)
        torch.testing.assert_close(patches.rotation.angles[0, 0, 0], angles[0, 0, [0, 3, 4]].mean(0))
        torch.testing.assert_close(patches.rotation.angles[1, 0, 1], angles[0, 0, [1, 2, 3]].mean(0))
        torch.testing.assert_close(patches.rotation.cos, patches.rotation.angles.cos())
        _, patches = merged_by(groups, 3, tokens, rotation=rotation)
        expected = angles[0, 0, [[0, 1, 5], [4, 1, 0]]]  # of equal sizes, the first token's
        assert torch.equal(patches.rotation.angles[:, 0], expected)
        patches.merging = TokenMerging(MPM((3,)), proportional=True)
        unlike = torch.tensor([[1.0, 0], [0, 1], [0, 1]])
        patches.merged(torch.stack([unlike, unlike.flip(0)]), 3, attended=False)
        # sizes (3, 2, 1), of which the last two merge, and (1, 3, 2), of which the first two do
        assert torch.equal(patches.rotation.angles[:, 0], torch.stack([expected[0, [0, 1]], expected[1, [1, 2]]]))

    def test_keys_have_no_bias_unless_asked(self):
        _, patches = merged_by(torch.tensor([[0, 0, 1]]), 2, torch.randn(1, 3, 4), proportional=False)
        assert patches.key_bias is None


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
    assert sorted(min(window) for window in as_sets(grouping)[0][:4]) == [6, 22, 38, 54]  # all windows of the padding


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
