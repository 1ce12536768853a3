"""Piloted queries: what they see, that nobody sees them, and when they take part."""

import pytest
import torch
from torch import Tensor

from eomt.criterion.targets import ImageTargets
from eomt.piloted_queries import SWAPPED, PilotedQueries, Piloting, class_codes
from eomt.randomness import ImageDraws

GRID = (4, 4)
COUNTS = [3, 0, 1, 12]
KEYS = torch.tensor([4, 8, 15, 16])
PIXELS = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(2))
MASKED = [1.0, 1.0]


@pytest.fixture
def labels(segments) -> tuple[list[ImageTargets], list[Tensor]]:
    id_maps, segment_ids, class_labels, _ = segments(COUNTS)
    return [ImageTargets(*image) for image in zip(id_maps, segment_ids, strict=True)], class_labels


def draw(labels, probs=MASKED, limit=20, keys=KEYS, **fields) -> PilotedQueries | None:
    return Piloting(limit, **fields).draw(*labels, GRID, probs, 5, ImageDraws(keys))


def test_each_segment_has_a_query_up_to_the_limit(labels):
    assert [chosen.tolist() for chosen in draw(labels).segments] == [[*range(count)] for count in COUNTS]
    few = draw(labels, limit=2)
    assert [len(chosen) for chosen in few.segments] == [2, 0, 1, 2] and few.most == 2
    assert few.real.tolist() == [[True, True], [False, False], [True, False], [True, True]]
    chosen = [tuple(draw(labels, limit=2, keys=KEYS + 99 * step).segments[3].tolist()) for step in range(40)]
    assert {segment for pair in chosen for segment in pair} == set(range(12))  # a random subset
    assert all(first < second for first, second in chosen)
    assert Piloting(2).count(labels[1]) == 5


def test_masks_are_the_true_ones_of_the_segments(labels):
    pilots = draw(labels, limit=5)
    for image, (target, chosen) in enumerate(zip(labels[0], pilots.segments, strict=True)):
        for row, segment in enumerate(chosen.tolist()):
            inside = (target.maps == target.segment_ids[segment]).view(4, 16, 4, 16).any(3).any(1)
            assert torch.equal(pilots.cells[image, row], inside.flatten())


def test_a_fifth_of_the_classes_is_swapped_for_any_class(labels):
    shown, true = [], []
    for step in range(300):
        pilots = draw(labels, keys=KEYS + 1000 * step)
        shown.append(pilots.classes[pilots.real])
        true.append(torch.cat(labels[1]))
    shown, true = torch.cat(shown), torch.cat(true)
    swapped = shown != true
    assert swapped.float().mean().item() == pytest.approx(SWAPPED * 4 / 5, abs=0.02)  # one of five draws the class itself
    assert set(shown[swapped].tolist()) == set(range(5))


def test_codes_of_classes_are_fixed_and_as_large_as_new_queries():
    codes = class_codes(7, 64, torch.device("cpu"))
    class_codes.cache_clear()
    torch.manual_seed(3)
    assert torch.equal(codes, class_codes(7, 64, torch.device("cpu")))
    assert codes.std().item() == pytest.approx(1, abs=0.1) and len(codes.unique(dim=0)) == 7


def test_noise_flips_as_many_patches_as_the_share_of_the_mask(labels):
    flipped, share = [], []
    for step in range(200):
        clean, noisy = (draw(labels, keys=KEYS + 1000 * step, noise=noise) for noise in (0.0, 0.5))
        assert torch.equal(clean.classes, noisy.classes)  # other draws stay
        flipped.append((clean.cells ^ noisy.cells)[clean.real].float().mean(1))
        share.append(clean.cells[clean.real].float().mean(1))
    flipped, share = torch.stack(flipped).mean(0), torch.stack(share).mean(0)  # (16,) segments
    torch.testing.assert_close(flipped, 0.5 * share, atol=0.05, rtol=0)


class TestAnnealing:
    def test_a_query_is_unmasked_with_the_probability_of_its_block_and_gone_when_none_masks_it(self, labels):
        seen, probs = [], [0.3, 0.7]
        for step in range(400):
            pilots = draw(labels, probs, keys=KEYS + 1000 * step)
            real = pilots.real
            assert not pilots.unmasked[1][real].any()  # of those that take part, block 1 masks all
            seen.append((int(real.sum()), int((~pilots.unmasked[0])[real].sum())))
        present, masked = torch.tensor(seen).float().mean(0) / sum(COUNTS)
        assert present.item() == pytest.approx(0.7, abs=0.02) and masked.item() == pytest.approx(0.3, abs=0.02)

    def test_where_nothing_is_masked_there_are_none(self, labels):
        assert draw(labels, [0.0, 0.0]) is None

    def test_images_without_segments_have_none(self, labels):
        assert draw(([labels[0][1]], [labels[1][1]]), keys=KEYS[:1]) is None


def test_the_attention_mask(labels):
    pilots = draw(labels, [0.5, 1.0], limit=5)
    for block in range(2):
        mask = pilots.attention_mask(block, pilots.most + 13 + 16)
        assert mask.shape == (4, 1, pilots.most, pilots.most + 13 + 16) and mask.dtype == torch.bool
        for image in range(4):
            for row in range(pilots.most):
                others, tokens, patches = mask[image, 0, row].split([pilots.most, 13, 16])
                assert torch.equal(others, pilots.real[image]) and tokens.all()
                expected = torch.ones(16).bool() if pilots.unmasked[block, image, row] else pilots.cells[image, row]
                assert torch.equal(patches, expected)
    assert pilots.unmasked[0][pilots.real].any() and not pilots.unmasked[0][pilots.real].all()


def test_matches_go_by_image_block_and_query(labels):
    pilots = draw(labels, limit=2)
    matches = pilots.matches(3)
    rows = torch.stack([matches.image, matches.block, matches.query], dim=1).tolist()
    assert rows == sorted(rows) and len(rows) == 3 * 5
    for image, _, query, segment in zip(matches.image, matches.block, matches.query, matches.segment, strict=True):
        assert segment == pilots.segments[image][query]


def test_draws_of_an_image_depend_on_its_key_alone(labels):
    whole = draw(labels, [0.4, 0.9], noise=0.3)
    for image in (0, 3):
        alone = draw(tuple([part[image]] for part in labels), [0.4, 0.9], keys=KEYS[image : image + 1], noise=0.3)
        count = len(alone.segments[0])
        assert torch.equal(alone.segments[0], whole.segments[image])
        assert torch.equal(alone.classes[0], whole.classes[image, :count])
        assert torch.equal(alone.cells[0], whole.cells[image, :count])
        assert torch.equal(alone.unmasked[:, 0], whole.unmasked[:, image, :count])
