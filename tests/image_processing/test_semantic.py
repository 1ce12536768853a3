"""Outputs -> maps of classes: equal to stock where stock is right, windows included, and right where it isn't."""

import numpy as np
import pytest
import torch

from eomt import EomtImageProcessor

SQUARE = {"shortest_edge": 64, "longest_edge": 64}
VOID = -1


@pytest.mark.parametrize("seed", range(3))
def test_semantic_equals_stock_on_square_images(random_outputs, stock_and_ours, seed):
    stock, ours = stock_and_ours()
    given, sizes = random_outputs(seed), [(64, 64), (101, 101)]
    mine, theirs = (p.post_process_semantic_segmentation(given, sizes, return_segmentation_scores=True) for p in (ours, stock))
    for a, b in zip(mine, theirs, strict=True):
        assert torch.allclose(a["segmentation_scores"], b["segmentation_scores"], atol=1e-5)
        assert (a["segmentation"] == b["segmentation"]).float().mean() > 0.999
    maps = ours.post_process_semantic_segmentation(given, sizes)
    assert all(torch.equal(a["segmentation"], b) for a, b in zip(mine, maps, strict=True))


@pytest.mark.parametrize("settings", [{"size": SQUARE}, {"size": {"shortest_edge": 64}, "do_split_image": True}])
def test_with_a_tolerance_a_class_is_as_good_as_the_best_to_that(random_outputs, settings):
    processor, sizes = EomtImageProcessor(**settings), [(64, 170), (250, 90)]
    offsets = processor([np.zeros((*size, 3), np.uint8) for size in sizes]).get("patch_offsets")
    given = random_outputs(0, images=len(offsets or sizes), queries=40, num_classes=30, confidence=4.0)
    given.patch_offsets = offsets
    exact = processor.post_process_semantic_segmentation(given, sizes, return_segmentation_scores=True)
    loose = processor.post_process_semantic_segmentation(given, sizes, tolerance=0.2)
    changed = 0
    for truth, classes in zip(exact, loose, strict=True):
        chosen = truth["segmentation_scores"].gather(0, classes[None])[0]
        assert (truth["segmentation_scores"].amax(0) - chosen).max() <= 0.2 + 1e-6
        changed += int((classes != truth["segmentation"]).sum())
    assert 0 < changed < 0.1 * sum(height * width for height, width in sizes)  # something was left out, and little changed


@pytest.mark.parametrize(("level", "tolerance"), [(-20.0, 0.001), (-200.0, 0.0)])
def test_rows_in_which_nothing_is_found_have_class_0(random_outputs, level, tolerance):
    given = random_outputs(0)
    given.masks_queries_logits = given.masks_queries_logits.clone()
    given.masks_queries_logits[:, :, : given.masks_queries_logits.shape[2] // 2] = level
    maps = EomtImageProcessor(size=SQUARE).post_process_semantic_segmentation(given, [(200, 200)] * 2, tolerance=tolerance)
    assert all(not found[:45].any() and found[120:].any() for found in maps)


def test_windows_equal_stock(random_outputs, stock_and_ours):
    settings = dict(size={"shortest_edge": 64}, do_split_image=True)
    stock, ours = stock_and_ours(**settings)
    sizes = [(64, 170), (250, 90)]
    offsets = ours([np.zeros((*size, 3), np.uint8) for size in sizes])["patch_offsets"]
    given = random_outputs(0, images=len(offsets))
    given.patch_offsets = offsets
    mine, theirs = (p.post_process_semantic_segmentation(given, sizes, return_segmentation_scores=True) for p in (ours, stock))
    for a, b in zip(mine, theirs, strict=True):
        assert torch.allclose(a["segmentation_scores"], b["segmentation_scores"], atol=1e-5)
    given.patch_offsets = [tuple(offset.tolist()) for offset in offsets]
    for a, b in zip(ours.post_process_semantic_segmentation(given, sizes), mine, strict=True):
        assert torch.equal(a, b["segmentation"])


@pytest.mark.parametrize(
    "settings",
    [
        {"size": SQUARE},
        {"size": {"shortest_edge": 64}, "do_split_image": True},
        {"size": SQUARE, "do_split_image": True},  # a single window, padded
        {"size": {"shortest_edge": 64, "longest_edge": 96}},
        {"size": {"height": 64, "width": 96}},
    ],
)
def test_perfect_semantic_prediction(perfect_outputs, blocks, processor_class, settings):
    """The image's own size at the model's input, so that nothing is lost to resampling: not a pixel is wrong."""
    processor = processor_class(**settings)
    split = processor.do_split_image and "longest_edge" not in settings["size"]
    sizes = [(64, 192), (64, 64), (192, 64)] if split else [(64, 32), (32, 64), (48, 64)]
    if "height" in settings["size"]:
        sizes = [(64, 96)] * 2
    elif settings["size"].get("longest_edge") == 96:
        sizes = [(64, 80), (64, 24), (32, 96)]
    maps = [blocks(*size, seed=i) for i, size in enumerate(sizes)]
    inputs = processor([np.zeros((*size, 3), np.uint8) for size in sizes], maps, return_tensors="pt")
    given = perfect_outputs(inputs)
    for got, truth in zip(processor.post_process_semantic_segmentation(given, sizes), maps, strict=True):
        assert torch.equal(got, torch.from_numpy(truth).long())


@pytest.mark.parametrize(
    "settings, sizes",
    [
        ({}, [(48, 40), (64, 64), (20, 60)]),
        ({}, [(100, 80)]),  # sticks out of the canvas both ways
        ({"do_pad": False}, [(48, 40)]),
        ({"do_pad": False}, [(32, 32)]),
        ({"do_split_image": True}, [(64, 150), (30, 150), (40, 20), (200, 64)]),
        ({"do_split_image": True}, [(100, 80)]),
        ({"do_split_image": True, "do_pad": False}, [(150, 30)]),
    ],
)
def test_perfect_prediction_of_images_that_are_not_resized(perfect_outputs, blocks, processor_class, settings, sizes):
    processor = processor_class(**{"size": SQUARE, "do_pad": True, "do_resize": False, **settings})
    maps = [blocks(*size, seed=i) for i, size in enumerate(sizes)]
    inputs = processor([np.zeros((*size, 3), np.uint8) for size in sizes], maps, return_tensors="pt")
    given = perfect_outputs(inputs)
    for got, truth in zip(processor.post_process_semantic_segmentation(given, sizes), maps, strict=True):
        assert torch.equal(got, torch.from_numpy(truth).long())
    for result, truth in zip(processor.post_process_panoptic_segmentation(given, sizes), maps, strict=True):
        classes = torch.tensor([segment["label_id"] for segment in result["segments_info"]] + [VOID])
        assert torch.equal(classes[result["segmentation"]], torch.from_numpy(truth).long())


@pytest.mark.parametrize(
    ("offsets", "sizes", "message"),
    [
        ([(0, 0, 64)], [(64, 104)], "1 windows"),
        ([(0, 0, 64), (1, 0, 64)], [(64, 64)], "images"),
        ([(0, 0), (0, 40)], [(64, 104)], "image index, start, end"),
        ([(0, 0, 64), (0, 40, 104)], None, "target_sizes"),
    ],
)
def test_wrong_offsets(random_outputs, offsets, sizes, message):
    given = random_outputs(0)
    given.patch_offsets = offsets
    with pytest.raises(ValueError, match=message):
        EomtImageProcessor(size={"shortest_edge": 64}).post_process_semantic_segmentation(given, sizes)
