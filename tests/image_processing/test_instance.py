"""Outputs -> instances: equal to stock where stock is right, in all formats, and the paper's top-k."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pycocotools import mask as coco_mask
from transformers.image_transforms import get_size_with_aspect_ratio

from eomt import EomtImageProcessor

SQUARE = {"shortest_edge": 64, "longest_edge": 64}
VOID = -1


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("threshold", [0.3, 0.8])
def test_instances_equal_stock(random_outputs, stock_and_ours, seed, threshold):
    stock, ours = stock_and_ours()
    given, sizes = random_outputs(seed), [(37, 150), (90, 61)]
    results = [p.post_process_instance_segmentation(given, sizes, threshold=threshold) for p in (ours, stock)]
    for mine, theirs in zip(*results, strict=True):
        assert [(s["id"], s["label_id"]) for s in mine["segments_info"]] == [
            (s["id"], s["label_id"]) for s in theirs["segments_info"]
        ]
        for a, b in zip(mine["segments_info"], theirs["segments_info"], strict=True):
            assert abs(a["score"] - b["score"]) < 3e-6
        assert torch.equal(mine["segmentation"] == VOID, theirs["segmentation"] == VOID)
        assert mine["segmentation"].dtype == theirs["segmentation"].dtype


def test_higher_scores_end_on_top(outputs):
    """The second query scores less and covers the first: in stock it hides it."""
    masks = torch.full((1, 2, 16, 16), -20.0)
    masks[0, 0, 4:8, 4:8] = 20
    masks[0, 1, 2:10, 2:10] = 20
    classes = torch.tensor([[[9.0, 0, 0], [3.0, 0, 0]]])
    ours = EomtImageProcessor(size=SQUARE)
    result = ours.post_process_instance_segmentation(outputs(masks, classes), [(64, 64)], threshold=0.5)[0]
    assert result["segmentation"][24, 24] == 0 and result["segmentation"][10, 10] == 1
    assert [s["id"] for s in result["segments_info"]] == [0, 1]


def test_binary_maps_runs_and_boxes_agree(random_outputs):
    given, sizes = random_outputs(3), [(37, 150), (90, 61)]
    ours = EomtImageProcessor(size=SQUARE)
    call = dict(target_sizes=sizes, threshold=0.2)
    plain = ours.post_process_instance_segmentation(given, **call)
    binary = ours.post_process_instance_segmentation(given, **call, return_binary_maps=True)
    coco = ours.post_process_instance_segmentation(given, **call, return_coco_annotation=True)
    overlaps = 0
    for ids, maps, runs, size in zip(plain, binary, coco, sizes, strict=True):
        assert ids["segments_info"] == maps["segments_info"] == runs["segments_info"]
        assert maps["segmentation"].shape == (len(ids["segments_info"]), *size)
        for segment, mask, run in zip(ids["segments_info"], maps["segmentation"], runs["segmentation"], strict=True):
            rows, cols = mask.nonzero().unbind(1)
            assert segment["bbox"] == [cols.min(), rows.min(), cols.max() + 1, rows.max() + 1]
            decoded = torch.zeros(size, dtype=torch.bool).flatten()
            for start, length in zip(run[::2], run[1::2], strict=True):
                decoded[start - 1 : start - 1 + length] = True
            assert torch.equal(decoded.view(size), mask)
            assert (mask | (ids["segmentation"] != segment["id"])).all(), "the id map shows part of each mask"
        overlaps += int((maps["segmentation"].sum(0) > 1).sum())
    assert overlaps > 0


def test_rles_are_those_of_the_binary_maps(random_outputs):
    given, sizes = random_outputs(3), [(37, 150), (90, 61)]
    ours = EomtImageProcessor(size=SQUARE)
    call = dict(target_sizes=sizes, threshold=0.1, top_k=20)
    binary = ours.post_process_instance_segmentation(given, **call, return_binary_maps=True)
    for maps, rles in zip(binary, ours.post_process_instance_segmentation(given, **call, return_rles=True), strict=True):
        rounded = [{**segment, "score": round(segment["score"], 6)} for segment in rles["segments_info"]]
        assert maps["segments_info"] == rounded != rles["segments_info"] and len(rles["segmentation"]) > 3
        decoded = coco_mask.decode(rles["segmentation"])
        assert np.array_equal(decoded.transpose(2, 0, 1), maps["segmentation"].numpy())
    with pytest.raises(ValueError, match="return_binary_maps and return_rles are both True"):
        ours.post_process_instance_segmentation(given, **call, return_binary_maps=True, return_rles=True)


def test_run_lengths_as_in_mask2former():
    from transformers.models.mask2former.image_processing_mask2former import binary_mask_to_rle

    from eomt.image_processing.instance import run_lengths

    generator = torch.Generator().manual_seed(0)
    for density in (0.0, 0.3, 1.0):
        mask = torch.rand(13, 7, generator=generator) < density
        assert run_lengths(mask) == binary_mask_to_rle(mask.int())


def test_official_top_k(random_outputs):
    """Over queries x classes: written out in full for one image, as the official evaluation does it."""
    given, size = random_outputs(5, images=1, confidence=1.0), (37, 150)
    ours = EomtImageProcessor(size=SQUARE)
    result = ours.post_process_instance_segmentation(given, [size], threshold=0.0, top_k=20, return_binary_maps=True)[0]
    height, width = get_size_with_aspect_ratio(size, 64, 64)
    logits = F.interpolate(given.masks_queries_logits, size=(64, 64), mode="bilinear")[..., :height, :width]
    logits = F.interpolate(logits, size=size, mode="bilinear")[0]
    scores, pairs = given.class_queries_logits[0].softmax(-1)[:, :-1].flatten().topk(20)
    want = []
    for score, pair in zip(scores.tolist(), pairs.tolist(), strict=True):
        mask = logits[pair // 4] > 0
        if mask.any():
            mean = (logits[pair // 4].sigmoid() * mask).sum() / (mask.sum() + 1e-6)
            want.append((score * mean.item(), pair % 4, mask))
    want.sort(key=lambda entry: -entry[0])
    assert len({s["label_id"] for s in result["segments_info"]}) > 1
    assert [s["label_id"] for s in result["segments_info"]] == [label for _, label, _ in want]
    for segment, mask, (score, _, truth) in zip(result["segments_info"], result["segmentation"], want, strict=True):
        assert abs(segment["score"] - score) < 2e-6 and torch.equal(mask, truth)


def test_instances_beyond_the_best_so_many(random_outputs):
    """The best stay as they are, of any score; further ones are those of 12 x 4 pairs whose score is high enough."""
    given, size = random_outputs(5, images=1, confidence=1.0), (37, 150)
    find = EomtImageProcessor(size=SQUARE).post_process_instance_segmentation

    def found(**options) -> set[tuple]:
        result = find(given, [size], return_rles=True, **options)[0]
        scores = [info["score"] for info in result["segments_info"]]
        assert scores == sorted(scores, reverse=True)
        columns = result["segmentation"], result["segments_info"]
        return {(rle["counts"], info["label_id"], info["score"]) for rle, info in zip(*columns, strict=True)}

    best, every = found(threshold=0.0, top_k=10), found(threshold=0.0, top_k=48)
    for beyond in (0.02, 0.1, 0.2):
        further = {one for one in every - best if one[2] >= beyond}
        assert found(threshold=0.0, top_k=10, beyond=beyond) == best | further and len(further) > 1
    assert found(threshold=0.0, top_k=10, beyond=0.99) == best  # which have lower scores
    assert found(threshold=0.25, top_k=10, beyond=0.1) == {one for one in every if one[2] >= 0.25}
    with pytest.raises(ValueError, match="beyond is 0.1, but goes beyond the best top_k, which is None"):
        find(given, [size], beyond=0.1)


def test_stuff_has_no_instances_and_takes_no_place_among_the_best(random_outputs):
    given, size = random_outputs(5, images=1, confidence=1.0), (37, 150)
    stored = EomtImageProcessor(size=SQUARE, stuff_classes=[1, 3])

    def found(processor, **options) -> list[tuple]:
        result = processor.post_process_instance_segmentation(given, [size], threshold=0.0, return_rles=True, **options)[0]
        columns = result["segmentation"], result["segments_info"]
        return [(rle["counts"], info["label_id"], info["score"]) for rle, info in zip(*columns, strict=True)]

    plain = EomtImageProcessor(size=SQUARE)
    for pairs in (None, 48):  # each query with its best class, and all of 12 x 4 pairs
        every = found(plain, top_k=pairs)
        things = [one for one in every if one[1] in (0, 2)]
        assert found(stored, top_k=pairs) == found(plain, top_k=pairs, stuff_classes=[1, 3]) == things
        assert found(stored, top_k=pairs, stuff_classes=[]) == every and 2 < len(things) < len(every)
    assert set(found(stored, top_k=10, beyond=0.02)) == set(found(stored, top_k=10)) | {one for one in things if one[2] >= 0.02}
    assert len(found(stored, top_k=10)) > len([one for one in found(plain, top_k=10) if one[1] in (0, 2)])
    assert found(plain, top_k=10, stuff_classes=range(4)) == found(plain, stuff_classes=range(4)) == []


def test_formats_of_images_without_instances(random_outputs):
    given, sizes = random_outputs(0), [(37, 150), (90, 61)]
    given.class_queries_logits[..., -1] = 50
    post_process = EomtImageProcessor(size=SQUARE).post_process_instance_segmentation
    binary = post_process(given, sizes, return_binary_maps=True)
    assert [tuple(result["segmentation"].shape) for result in binary] == [(0, 37, 150), (0, 90, 61)]
    coco = post_process(given, sizes, return_coco_annotation=True, top_k=3)
    assert [result["segmentation"] for result in coco] == [[], []]
    with pytest.raises(ValueError, match="one format"):
        post_process(given, sizes, return_binary_maps=True, return_coco_annotation=True)


def test_windowed_instances_say_what_to_do(random_outputs):
    given = random_outputs(0)
    given.patch_offsets = [(0, 0, 64), (0, 40, 104)]
    with pytest.raises(ValueError, match="do_split_image=False"):
        EomtImageProcessor(size={"shortest_edge": 64}).post_process_instance_segmentation(given, [(64, 104)])
