"""Outputs -> panoptic segments: equal to stock where stock is right, and right where it isn't."""

import numpy as np
import pytest
import torch

from eomt import EomtImageProcessor

SQUARE = {"shortest_edge": 64, "longest_edge": 64}
VOID = -1


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("thresholds", [(0.8, 0.5, 0.8, None), (0.3, 0.5, 0.5, [0, 1]), (0.0, 0.4, 0.0, [2]), (0.9, 0.5, 0.5, [])])
def test_panoptic_equals_stock_bit_for_bit(random_outputs, stock_and_ours, seed, thresholds):
    sizes = [((37, 150), (64, 64)), ((181, 75), (90, 161)), ((64, 33), (20, 21))][seed % 3]
    stock, ours = stock_and_ours()
    given = random_outputs(seed)
    if seed % 4 == 0:  # ties: of equals the first wins
        given.masks_queries_logits[:, 1] = given.masks_queries_logits[:, 0]
        given.class_queries_logits[:, 1] = given.class_queries_logits[:, 0]
    if seed % 5 == 0:  # saturated probabilities tie as well
        given.masks_queries_logits *= 20
    results = [p.post_process_panoptic_segmentation(given, list(sizes), *thresholds) for p in (ours, stock)]
    for mine, theirs in zip(*results, strict=True):
        assert mine["segments_info"] == theirs["segments_info"]
        assert torch.equal(mine["segmentation"], theirs["segmentation"].long())


def test_panoptic_merges_the_stored_stuff(random_outputs, stock_and_ours):
    given = random_outputs(1, confidence=6.0)
    given.masks_queries_logits += 3
    call = dict(target_sizes=[(50, 80)] * 2, threshold=0.1, overlap_mask_area_threshold=0.0)
    stock, plain = stock_and_ours()
    stored = EomtImageProcessor(size=SQUARE, stuff_classes=[0, 1, 2, 3])
    want = stock.post_process_panoptic_segmentation(given, **call, stuff_classes=[0, 1, 2, 3])
    separate = plain.post_process_panoptic_segmentation(given, **call)
    for got, expected, single in zip(stored.post_process_panoptic_segmentation(given, **call), want, separate, strict=True):
        labels = [segment["label_id"] for segment in got["segments_info"]]
        assert len(labels) == len(set(labels)) < len(single["segments_info"])
        assert torch.equal(got["segmentation"], expected["segmentation"]) and got["segments_info"] == expected["segments_info"]
    override = stored.post_process_panoptic_segmentation(given, **call, stuff_classes=[])
    assert [r["segments_info"] for r in override] == [r["segments_info"] for r in separate]


def test_perfect_panoptic_prediction(perfect_outputs, blocks, processor_class):
    """Segments come back at the original size, whichever way the image lies, but for their outlines."""
    processor = processor_class(size=SQUARE)
    maps = [blocks(48, 100), blocks(100, 48, seed=1), blocks(30, 30, seed=2)]
    images = [np.zeros((*m.shape, 3), np.uint8) for m in maps]
    inputs = processor(images, maps, return_tensors="pt")
    results = processor.post_process_panoptic_segmentation(perfect_outputs(inputs), [m.shape for m in maps])
    for result, truth in zip(results, maps, strict=True):
        classes = torch.tensor([s["label_id"] for s in result["segments_info"]] + [VOID])[result["segmentation"]]
        assert (classes == torch.from_numpy(truth)).float().mean() > 0.95


def test_windowed_panoptic_gives_one_segment_a_class(random_outputs):
    processor = EomtImageProcessor(size={"shortest_edge": 64}, do_split_image=True)
    sizes = [(50, 170), (120, 60)]
    given = random_outputs(2, images=5)
    given.patch_offsets = processor([np.zeros((*size, 3), np.uint8) for size in sizes])["patch_offsets"]
    given.masks_queries_logits = given.masks_queries_logits[:1].repeat(len(given.patch_offsets), 1, 1, 1)
    given.class_queries_logits = given.class_queries_logits[:1].repeat(len(given.patch_offsets), 1, 1)
    results = processor.post_process_panoptic_segmentation(given, sizes, threshold=0.9)
    semantic = processor.post_process_semantic_segmentation(given, sizes, return_segmentation_scores=True)
    for result, truth, size in zip(results, semantic, sizes, strict=True):
        assert result["segmentation"].shape == size
        labels = torch.tensor([s["label_id"] for s in result["segments_info"]])
        assert labels.tolist() == truth["segmentation"].unique().tolist() and len(labels) > 1
        assert torch.equal(labels[result["segmentation"]], truth["segmentation"])
        for segment in result["segments_info"]:
            mean = truth["segmentation_scores"][segment["label_id"]][result["segmentation"] == segment["id"]].mean()
            assert abs(segment["score"] - mean) < 1e-5
