"""Which tokens are merged, against slow implementations of the rules, and what becomes of them."""

import math

import pytest
import torch
from torch import Tensor

from eomt.encoders.patch_tokens import Grouping, PatchTokens, TokenMerging
from eomt.encoders.rotary import Rotation, partner_in_other_half
from eomt.token_merging import MPM
from eomt.token_merging.algm import global_grouping, local_grouping
from eomt.token_merging.mpm import pair_grouping


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
