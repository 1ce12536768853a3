"""Copy-paste: which pixels and ids a crop has afterwards, worked out by hand."""

from dataclasses import replace

import torch

from eomt.image_processing.copy_paste import LEAST_LEFT, LabelledCrop, paste_segments, random_things

THINGS = [True, True, False]


def crop_of(id_map: list, ids: list[int], labels: list[int], grey: int) -> LabelledCrop:
    ids_of_pixels = torch.tensor(id_map, dtype=torch.int32)
    image = torch.full((3, *ids_of_pixels.shape[-2:]), grey, dtype=torch.uint8)
    return LabelledCrop(image, ids_of_pixels, torch.tensor(ids), torch.tensor(labels))


BELOW = crop_of([[1, 1, 0, 5], [1, 1, 0, 5], [-1, -1, 9, 9]], ids=[1, 5, 9], labels=[0, 2, 1], grey=10)
ABOVE = crop_of([[4, 0, 0, 7], [4, 0, 6, 6], [4, 3, 3, 3]], ids=[4, 6, 7], labels=[1, 0, 2], grey=200)  # 3 is a crowd


def test_chosen_pixels_and_ids_are_copied_and_what_is_below_loses_them():
    pasted = paste_segments(BELOW, ABOVE, torch.tensor([True, True, False]), THINGS)
    assert pasted.id_map.tolist() == [[10, 1, 0, 5], [10, 1, 11, 11], [10, -1, 9, 9]]
    assert pasted.id_map.dtype == torch.int32
    assert pasted.segment_ids.tolist() == [1, 5, 9, 10, 11] and pasted.class_labels.tolist() == [0, 2, 1, 1, 0]
    assert (pasted.image == torch.tensor([[200, 10, 10, 10], [200, 10, 200, 200], [200, 10, 10, 10]])).all()
    assert BELOW.id_map[0].tolist() == [1, 1, 0, 5] and (BELOW.image == 10).all()  # left alone


def test_what_is_not_chosen_is_not_pasted():
    pasted = paste_segments(BELOW, ABOVE, torch.tensor([False, True, False]), THINGS)
    assert pasted.id_map.tolist() == [[1, 1, 0, 5], [1, 1, 10, 10], [-1, -1, 9, 9]]
    assert pasted.segment_ids.tolist() == [1, 5, 9, 10] and pasted.class_labels.tolist() == [0, 2, 1, 0]


def test_segments_that_vanish_are_left_out():
    whole = crop_of([[2, 2, 2, 2], [2, 2, 2, 2], [0, 0, 2, 2]], ids=[2], labels=[0], grey=99)
    pasted = paste_segments(BELOW, whole, torch.tensor([True]), THINGS)
    assert pasted.segment_ids.tolist() == [10] and pasted.class_labels.tolist() == [0]
    assert pasted.id_map.tolist() == [[10] * 4, [10] * 4, [-1, -1, 10, 10]]


def test_a_sliver_of_a_thing_becomes_void_and_of_stuff_stays():
    for label, left in ((0, False), (2, True)):
        below = crop_of([[6] * 21, [8] * 21], ids=[6, 8], labels=[label, 2], grey=0)
        cover = torch.tensor([[1] * 19 + [0, 0], [0] * 21], dtype=torch.int32)
        above = LabelledCrop(torch.ones(3, 2, 21, dtype=torch.uint8), cover, torch.tensor([1]), torch.tensor([1]))
        pasted = paste_segments(below, above, torch.tensor([True]), THINGS)
        assert 2 / 21 < LEAST_LEFT and pasted.segment_ids.tolist() == ([6, 8, 9] if left else [8, 9])
        assert pasted.id_map[0].tolist() == [9] * 19 + [6 if left else -1] * 2
    cover[0, 18] = 0  # three of 21 pixels are enough
    assert 6 in paste_segments(below, above, torch.tensor([True]), THINGS).segment_ids.tolist()


def test_planes_of_either_side():
    """Two boxes that overlap, over one plane; and one plane over both. An id 0 below is a segment's here."""
    two = crop_of([[[3, 3, 0], [0, 0, 0]], [[0, 4, 4], [0, 0, 0]]], ids=[3, 4], labels=[0, 1], grey=200)
    flat = crop_of([[0, 0, 0], [0, 2, 2]], ids=[0, 2], labels=[1, 0], grey=10)
    over = paste_segments(flat, two, torch.tensor([True, True]), THINGS)
    assert over.id_map.tolist() == [[[3, 3, -1], [0, 2, 2]], [[-1, 4, 4], [-1, -1, -1]]]
    assert over.segment_ids.tolist() == [0, 2, 3, 4] and over.class_labels.tolist() == [1, 0, 0, 1]
    assert over.image[0].tolist() == [[200, 200, 200], [10, 10, 10]]
    under = paste_segments(two, crop_of([[7, 0, 0], [7, 0, 0]], [7], [1], 50), torch.tensor([True]), THINGS)
    assert under.id_map.tolist() == [[[5, 3, 0], [5, 0, 0]], [[-1, 4, 4], [-1, 0, 0]]]
    assert under.segment_ids.tolist() == [3, 4, 5] and under.image[2].tolist() == [[50, 200, 200], [50, 200, 200]]


def test_planes_in_another_order_of_memory_as_augmentation_makes_them():
    two = crop_of([[[3, 3, 0], [0, 0, 0]], [[0, 4, 4], [0, 0, 0]]], ids=[3, 4], labels=[0, 1], grey=200)
    turned = [replace(one, id_map=one.id_map.permute(1, 2, 0).contiguous().permute(2, 0, 1)) for one in (two, two)]
    expected, found = (paste_segments(*pair, torch.tensor([False, True]), THINGS) for pair in ((two, two), turned))
    assert not turned[0].id_map.is_contiguous() and torch.equal(found.id_map, expected.id_map)
    assert found.id_map.tolist() == [[[3, -1, -1], [0, 0, 0]], [[0, 5, 5], [0, 0, 0]]]


def test_random_things_are_any_but_none_and_never_stuff():
    crop = crop_of([[1, 2, 3, 4]], ids=[1, 2, 3, 4], labels=[0, 1, 2, 0], grey=0)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([random_things(crop, THINGS, generator) for _ in range(200)])
    assert not drawn[:, 2].any() and drawn.any(1).all()
    assert len(drawn.unique(dim=0)) == 7  # of three things each subset but the empty one
    stuff = crop_of([[3]], ids=[3], labels=[2], grey=0)
    assert random_things(stuff, THINGS, generator).tolist() == [False]


def test_what_overlaps_a_chosen_thing_comes_along():
    """1 overlaps 2, which overlaps 3; 4 is apart."""
    planes = [[1, 1, 0, 3, 3, 0, 4], [0, 2, 2, 2, 0, 0, 0]]
    crop = crop_of([[planes[0]], [planes[1]]], ids=[1, 2, 3, 4], labels=[0, 1, 0, 1], grey=0)
    generator = torch.Generator().manual_seed(0)
    drawn = {tuple(random_things(crop, THINGS, generator).tolist()) for _ in range(100)}
    assert drawn == {(True, True, True, False), (False, False, False, True), (True, True, True, True)}
