"""Labels: their checks, and both forms sampled as `torch.nn.functional.grid_sample` samples masks in stock transformers."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from eomt.criterion.targets import ImageTargets, gather_targets

CPU = torch.device("cpu")
MASKS, MAPS, CLASSES, IDS = [torch.zeros(2, 8, 8)], torch.zeros(1, 8, 8).int(), [torch.tensor([0, 4])], [torch.tensor([1, 2])]
NONE = dict(mask_labels=None, class_labels=None, id_maps=None, segment_ids=None)


@pytest.mark.parametrize(
    "labels, said",
    [
        (dict(mask_labels=MASKS), "given as mask_labels; give either"),
        (dict(class_labels=CLASSES), "given as class_labels; give either"),
        (dict(id_maps=MAPS, class_labels=CLASSES), "given as class_labels, id_maps"),
        (dict(mask_labels=MASKS, id_maps=MAPS, segment_ids=IDS, class_labels=CLASSES), "id_maps, mask_labels"),
        (dict(mask_labels=MASKS * 2, class_labels=CLASSES * 2), "has 2 entries for 1 images"),
        (dict(id_maps=MAPS, segment_ids=IDS, class_labels=[]), "class_labels has 0 entries for 1 images"),
        (dict(mask_labels=[torch.zeros(8, 8)], class_labels=CLASSES), r"mask_labels\[0\] has shape \(8, 8\)"),
        (dict(id_maps=torch.zeros(1, 1, 1, 8, 8), segment_ids=IDS, class_labels=CLASSES), r"id_maps\[0\] has shape \(1, 1, 8, 8\)"),
        (dict(mask_labels=MASKS, class_labels=[torch.tensor([1])]), r"class_labels\[0\] has shape \(1,\) for 2 segments"),
        (dict(id_maps=MAPS, segment_ids=IDS, class_labels=[torch.tensor([[0, 1]])]), r"class_labels\[0\] has shape \(1, 2\)"),
        (dict(mask_labels=MASKS, class_labels=[torch.tensor([0, 5])]), r"class_labels\[0\] holds \[5\]; allowed are 0..4"),
        (dict(mask_labels=MASKS, class_labels=[torch.tensor([-1, 7])]), r"holds \[-1, 7\]"),
        (
            dict(mask_labels=MASKS, class_labels=[torch.tensor([0.7, 2.7])]),
            r"class_labels\[0\] has the type torch.float32.*integers",
        ),
        (dict(id_maps=MAPS, segment_ids=[torch.tensor([1.5, 2])], class_labels=CLASSES), r"segment_ids\[0\] has the type"),
        (dict(id_maps=MAPS, segment_ids=[torch.tensor([3, 3])], class_labels=CLASSES), r"segment_ids\[0\] names \[3, 3\].*twice"),
    ],
)
def test_labels_that_do_not_fit_are_refused_by_name(labels, said):
    with pytest.raises(ValueError, match=said):
        gather_targets(1, 5, **{**NONE, **labels}, device=CPU)


def test_the_model_says_so_too(tiny_model):
    with pytest.raises(ValueError, match=r"class_labels\[0\] holds \[9\]"):
        tiny_model()(torch.randn(1, 3, 64, 64), mask_labels=[torch.zeros(1, 64, 64)], class_labels=[torch.tensor([9])])


def test_no_labels_are_no_targets():
    assert gather_targets(1, 5, **NONE, device=CPU) is None


def test_both_forms_are_gathered():
    targets, classes = gather_targets(1, 5, MASKS, CLASSES, None, None, CPU)
    assert len(targets[0]) == 2 and targets[0].segment_ids is None and classes[0].dtype == torch.int64
    targets, _ = gather_targets(1, 5, None, [torch.tensor([0, 4], dtype=torch.int32)], MAPS, IDS, CPU)
    assert len(targets[0]) == 2 and torch.equal(targets[0].segment_ids, IDS[0])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.int32, torch.uint32])
def test_integers_of_any_type_are_gathered(dtype):
    ids, classes = [torch.tensor([1, 2], dtype=dtype)], [torch.tensor([0, 4], dtype=dtype)]
    maps = torch.tensor([[[1, 2], [0, 1]]]).to(dtype)
    targets, gathered = gather_targets(1, 5, None, classes, maps, ids, CPU)
    points = torch.tensor([[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]])  # the centres of the pixels
    expected = torch.tensor([[1.0, 0, 0, 1], [0, 1, 0, 0]])
    assert torch.equal(targets[0].sample_all(points), expected) and torch.equal(gathered[0], CLASSES[0])
    assert torch.equal(targets[0].sample_each(torch.tensor([0, 1]), points.expand(2, -1, -1)), expected)
    with pytest.raises(ValueError, match=r"class_labels\[0\] holds \[4\]"):
        gather_targets(1, 4, None, classes, maps, ids, CPU)


def test_an_empty_list_of_classes_may_be_of_floats():
    _, classes = gather_targets(1, 5, [torch.zeros(0, 8, 8)], [torch.tensor([])], None, None, CPU)
    assert classes[0].dtype == torch.int64 and not len(classes[0])


def grid_sampled(masks: Tensor, points: Tensor) -> Tensor:
    """(n, H, W), (n, P, 2) -> (n, P)."""
    return F.grid_sample(masks[:, None].float(), 2 * points[:, :, None] - 1, align_corners=False)[:, 0, :, 0]


def edge_points(count: int) -> Tensor:
    """Random points, and the corners and edges of the image."""
    corners = torch.tensor([[0, 0], [1, 0], [0, 1], [1, 1], [0, 0.5], [0.5, 1 - 1e-7], [1e-7, 0.3]])
    return torch.cat([torch.rand(count, 2), corners])


KINDS = {
    "bool": lambda masks: masks,
    "float": lambda masks: masks.float(),
    "half": lambda masks: masks.half(),
    "bfloat16": lambda masks: masks.bfloat16(),
    "uint8": lambda masks: masks.byte(),
    "soft": lambda masks: torch.rand(masks.shape, generator=torch.Generator().manual_seed(1)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_masks_are_sampled_as_grid_sample_does(kind, segments):
    masks = KINDS[kind](segments([4])[3][0].bool())
    targets, points = ImageTargets(masks), edge_points(500)
    shared = targets.sample_all(points)
    torch.testing.assert_close(shared, grid_sampled(masks, points.expand(4, -1, -1)), atol=1e-5, rtol=0)
    chosen, scattered = torch.tensor([2, 0, 2]), torch.stack([edge_points(200) for _ in range(3)])
    torch.testing.assert_close(targets.sample_each(chosen, scattered), grid_sampled(masks[chosen], scattered), atol=1e-5, rtol=0)


WIDE = 2**31  # ids of COCO-like tables, of 8, 16 and 32 bits, and beyond where the type allows
WIDE_IDS = {
    torch.uint8: [3, 200, 7, 255],
    torch.uint16: [3, 40000, 7, 65535],
    torch.int32: [70000, 3, WIDE - 1, -5],
    torch.int64: [70000, 3, WIDE + 70000, -5],
}


@pytest.mark.parametrize("dtype", WIDE_IDS)
@pytest.mark.parametrize("size", [(64, 64), (48, 80)])
def test_id_maps_give_what_their_masks_give(dtype, size, segments):
    ids = torch.tensor(WIDE_IDS[dtype])
    id_maps = segments([4])[0][0][: size[0]].long()
    id_maps = torch.cat([id_maps, id_maps], dim=1)[:, : size[1]]
    relabelled = torch.zeros_like(id_maps)
    for index, segment_id in enumerate(ids):
        relabelled[id_maps == index + 1] = segment_id
    absent = torch.tensor([77, 77 + 2**16, 77 + 2**32])  # in no pixel, also when cut to the map's type
    ids = torch.cat([ids, absent])
    by_id = ImageTargets(relabelled.to(dtype), ids)
    by_mask = ImageTargets(relabelled == ids[:, None, None])
    points = edge_points(500)
    assert len(by_id) == len(by_mask) == 7
    assert torch.equal(by_id.sample_all(points), by_mask.sample_all(points))
    assert not by_id.sample_all(points)[4:].any()
    chosen, scattered = torch.tensor([6, 0, 3, 3]), torch.stack([edge_points(200) for _ in range(4)])
    assert torch.equal(by_id.sample_each(chosen, scattered), by_mask.sample_each(chosen, scattered))


def test_no_segments():
    for targets in (ImageTargets(torch.zeros(0, 8, 8)), ImageTargets(torch.ones(8, 8, dtype=torch.int32), torch.zeros(0).long())):
        assert targets.sample_all(torch.rand(5, 2)).shape == (0, 5)
        assert targets.sample_each(torch.zeros(0).long(), torch.rand(0, 5, 2)).shape == (0, 5)


@pytest.mark.parametrize("size", [64, 48, 40], ids=lambda size: f"{size} pixels")
def test_covered_cells_are_those_with_a_pixel_of_the_segment(segments, size):
    """On 6 x 4 cells, whose edges lie between pixels or not."""
    id_maps, segment_ids, _, mask_labels = segments([5, 0], size)
    for ids, maps, masks in zip(segment_ids, id_maps, mask_labels, strict=True):
        expected = torch.zeros(len(ids), 24, dtype=torch.bool)
        for segment, y, x in masks.nonzero().tolist():
            expected[segment, y * 6 // size * 4 + x * 4 // size] = True
        assert torch.equal(ImageTargets(maps, ids).covered_cells((6, 4)), expected)
        assert torch.equal(ImageTargets(masks).covered_cells((6, 4)), expected)
        planes = torch.stack([torch.where(maps == 2, 0, maps), torch.where(maps == 2, 2, 0)])
        assert torch.equal(ImageTargets(planes, ids).covered_cells((6, 4)), expected)
