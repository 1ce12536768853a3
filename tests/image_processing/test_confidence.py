"""Confidence of pixels and segments, and probabilities of classes: by hand, by definition from the class scores, and in memory."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from eomt import EomtImageProcessor
from eomt.image_processing.confidence import CONFIDENCES, class_probabilities, confidence_levels

SQUARE = {"shortest_edge": 64, "longest_edge": 64}
TOY_MASKS = torch.tensor([[5.0, -5.0, -1.0], [-5.0, 4.0, -1.0], [-4.0, -4.0, 3.0]])  # logits of three queries at three pixels
TOY_CLASSES = torch.tensor([[4.0, 0.0, 0.0], [0.0, 3.0, 0.0], [-1.0, -1.0, 2.0]])  # of two classes and no-object
TOY_SCORES = torch.tensor([[0.9593, 0.0517, 0.3147], [0.0245, 0.8940, 0.2925]])
TOY_ANOMALY = {  # as the literature gives them, to four digits
    "max": [0.0407, 0.1060, 0.6853],
    "msp": [0.0249, 0.0547, 0.4817],
    "entropy": [0.1164, 0.2121, 0.6925],
    "rba": [-0.7684, -0.7651, -0.5892],
}
ANOMALY_OF = {  # its score from the confidence
    "max": lambda c: 1 - c,
    "msp": lambda c: 1 - c,
    "entropy": lambda c: (1 - c) * np.log(2),
    "rba": lambda c: -c / (1 - c),
}
PEAK = """
import torch
from pathlib import Path
from types import SimpleNamespace
from eomt import EomtImageProcessor
def peak():  # kB, of this process; the resource module's figure begins with that of the process that started it
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
torch.set_num_threads(1)
generator = torch.Generator().manual_seed(0)
outputs = SimpleNamespace(
    masks_queries_logits=torch.randn(2, 8, 40, 40, generator=generator) * 4,
    class_queries_logits=torch.randn(2, 8, 21, generator=generator),
    patch_offsets=[(0, 0, 160), (0, 53, 213)],
)
processor = EomtImageProcessor(size={"shortest_edge": 160}, do_split_image=True)
call = dict(outputs=outputs, output_confidence="entropy")
processor.post_process_semantic_segmentation(target_sizes=[(120, 160)], **call)
before = peak()
(result,) = processor.post_process_semantic_segmentation(target_sizes=[(3000, 4000)], **call)
assert result.confidence.shape == (3000, 4000) and result.confidence.std() > 0
print((peak() - before) / 1024)
"""


@pytest.fixture
def windows(random_outputs):
    """A processor that cuts windows, outputs of two images, and their sizes."""
    processor, sizes = EomtImageProcessor(size={"shortest_edge": 64}, do_split_image=True), [(64, 170), (250, 90)]
    offsets = processor([np.zeros((*size, 3), np.uint8) for size in sizes])["patch_offsets"]
    given = random_outputs(0, images=len(offsets), num_classes=20)
    given.patch_offsets = offsets
    return processor, given, sizes


@pytest.fixture
def whole(random_outputs):
    """A processor that pads, outputs of two images, and their sizes."""
    given = random_outputs(1)
    given.class_queries_logits[..., -1] += 3  # with fewer queries that are sure, scores of 1 are rare
    return EomtImageProcessor(size=SQUARE), given, [(37, 150), (190, 61)]


@pytest.mark.parametrize("name", CONFIDENCES)
def test_toy_by_hand(outputs, name):
    given = outputs(TOY_MASKS[None, :, None], TOY_CLASSES[None])
    given.image_layouts = torch.tensor([[1, 3, 1, 3]])
    call = dict(target_sizes=[(1, 3)], return_segmentation_scores=True, output_confidence=name)
    (result,) = EomtImageProcessor().post_process_semantic_segmentation(given, **call)
    assert result.segmentation_scores[:, 0].numpy() == pytest.approx(TOY_SCORES.numpy(), abs=5e-5)
    assert ANOMALY_OF[name](result.confidence[0].double().numpy()) == pytest.approx(TOY_ANOMALY[name], abs=5e-5)


def test_each_confidence_is_0_to_1_and_takes_absent_classes_as_scores_of_0():
    scores = torch.tensor([[0.0, 3.0, 1.0, 0.5], [0.0, 2.0, 0.0, 0.5]])[:, None]
    padded = torch.cat([scores, torch.zeros(3, 1, 4)])
    for name, confidence in CONFIDENCES.items():
        found = confidence(padded.clone(), 5)
        assert 0 <= found.min() and found.max() <= 1
        assert torch.allclose(found, confidence(scores.clone(), 5)), name
    assert CONFIDENCES["max"](scores, 5).tolist() == [[0.0, 1.0, 1.0, 0.5]]
    assert CONFIDENCES["msp"](scores, 5)[0].tolist() == pytest.approx([0.2, 0.6, 1.0, 0.5])
    assert CONFIDENCES["entropy"](scores, 2)[0, [0, 2, 3]].tolist() == [0.0, 1.0, 0.0]
    assert CONFIDENCES["entropy"](scores, 5)[0].tolist()[3] == pytest.approx(1 - np.log(2) / np.log(5))
    assert CONFIDENCES["rba"](scores, 5)[0].tolist()[2] == pytest.approx(np.tanh(1) / (1 + np.tanh(1)))


@pytest.mark.parametrize("case", ["windows", "whole"])
@pytest.mark.parametrize("name", CONFIDENCES)
def test_maps_follow_from_the_scores_at_full_size(case, name, request):
    processor, given, sizes = request.getfixturevalue(case)
    exact = processor.post_process_semantic_segmentation(given, sizes, return_segmentation_scores=True)
    results = processor.post_process_semantic_segmentation(given, sizes, output_confidence=name, tolerance=0.1)
    plain, spreads = processor.post_process_semantic_segmentation(given, sizes, tolerance=0.1), []
    for result, truth, classes in zip(results, exact, plain, strict=True):
        scores = truth.segmentation_scores
        assert sorted(result) == ["confidence", "segmentation"] and torch.equal(result.segmentation, classes)
        assert torch.allclose(result.confidence, CONFIDENCES[name](scores, len(scores)), atol=1e-6)
        spreads.append(result.confidence.std())
    assert max(spreads) > 0.01


@pytest.mark.parametrize("case", ["windows", "whole"])
def test_probabilities_add_up_to_1_and_rank_classes_as_scores_do(case, request):
    processor, given, sizes = request.getfixturevalue(case)
    both = dict(return_segmentation_scores=True, output_probabilities=True)
    for alone, beside in zip(
        processor.post_process_semantic_segmentation(given, sizes, output_probabilities=True),
        processor.post_process_semantic_segmentation(given, sizes, **both),
        strict=True,
    ):
        assert sorted(alone) == ["segmentation", "segmentation_probabilities"]
        scores, probabilities = beside.segmentation_scores, beside.segmentation_probabilities
        assert torch.equal(alone.segmentation_probabilities, probabilities) and torch.equal(alone.segmentation, beside.segmentation)
        assert torch.allclose(probabilities.sum(0), torch.ones(scores.shape[1:]), atol=1e-5)
        assert torch.allclose(probabilities * scores.sum(0), scores, atol=1e-6) and (scores.sum(0) - 1).abs().max() > 0.1


def test_where_no_class_has_a_score_nothing_is_sure_and_all_are_equally_probable(random_outputs):
    given = random_outputs(0)
    given.masks_queries_logits = given.masks_queries_logits.clone()
    given.masks_queries_logits[:, :, :8] = -200.0  # whose sigmoid is 0
    processor = EomtImageProcessor(size=SQUARE)
    least = {"max": 0.0, "msp": 0.25, "entropy": 0.0, "rba": 0.0}
    for name, value in least.items():
        for result in processor.post_process_semantic_segmentation(given, [(200, 200)] * 2, output_confidence=name):
            assert (result.confidence[:45] == value).all() and (result.confidence[120:] > value).any()
    (first, _) = processor.post_process_semantic_segmentation(given, [(200, 200)] * 2, output_probabilities=True)
    assert (first.segmentation_probabilities[:, :45] == 0.25).all()
    assert class_probabilities(torch.zeros(4, 1, 1)).flatten().tolist() == [0.25] * 4


@pytest.mark.parametrize("name", CONFIDENCES)
def test_panoptic_and_instance_results_have_the_same_map_and_are_else_as_without(whole, name):
    processor, given, sizes = whole
    maps = processor.post_process_semantic_segmentation(given, sizes, output_confidence=name)
    for task in ("panoptic", "instance"):
        post_process = getattr(processor, f"post_process_{task}_segmentation")
        call = dict(target_sizes=sizes, threshold=0.1, overlap_mask_area_threshold=0.0)
        for found, plain, truth in zip(
            post_process(given, **call, output_confidence=name), post_process(given, **call), maps, strict=True
        ):
            assert torch.equal(found.pop("confidence"), truth.confidence) and sorted(found) == sorted(plain)
            assert torch.equal(found["segmentation"], plain["segmentation"])
            for segment in found["segments_info"]:
                segment.pop("confidence", None)
            assert found["segments_info"] == plain["segments_info"] and plain["segments_info"]


def test_a_panoptic_segments_confidence_is_class_probability_x_mean_mask_probability_inside(whole):
    processor, given, sizes = whole
    given.masks_queries_logits += 5  # masks that overlap
    call = dict(target_sizes=[(64, 64)] * 2, threshold=0.2, overlap_mask_area_threshold=0.1)
    merged = processor.post_process_panoptic_segmentation(given, **call, stuff_classes=[0, 1, 2, 3], output_confidence="max")
    results = processor.post_process_panoptic_segmentation(given, **call, output_confidence="max")
    probabilities = given.class_queries_logits.softmax(-1)
    compared = 0
    for image, result in enumerate(results):
        masks = torch.nn.functional.interpolate(given.masks_queries_logits[image : image + 1], size=(64, 64), mode="bilinear")[0]
        for segment in result["segments_info"]:
            label = segment["label_id"]
            query = (probabilities[image].amax(-1) - segment["score"]).abs().argmin()  # scores have six digits
            inside = result["segmentation"] == segment["id"]
            expected = probabilities[image, query, label] * masks[query].sigmoid()[inside].mean()
            assert segment["confidence"] == pytest.approx(expected.item(), abs=1e-5) and segment["confidence"] < segment["score"]
            compared += 1
        for segment in merged[image]["segments_info"]:  # stuff of several queries: over the pixels of all of them
            parts = [part for part in result["segments_info"] if part["label_id"] == segment["label_id"]]
            areas = [(result["segmentation"] == part["id"]).sum().item() for part in parts]
            expected = np.average([part["confidence"] for part in parts], weights=areas)
            assert segment["confidence"] == pytest.approx(expected, abs=1e-6)
    assert compared > sum(len(result["segments_info"]) for result in merged) > 2


def test_segments_of_windows_are_as_sure_as_their_scores(windows):
    processor, given, sizes = windows
    for result in processor.post_process_panoptic_segmentation(given, sizes, output_confidence="rba"):
        assert result["confidence"].shape == result["segmentation"].shape and len(result["segments_info"]) > 3
        for segment in result["segments_info"]:
            assert segment["confidence"] == pytest.approx(min(1.0, segment["score"]), abs=1e-6)


@pytest.mark.parametrize("task", ["semantic", "panoptic", "instance"])
def test_wrong_names(whole, random_outputs, task):
    processor, given, sizes = whole
    post_process = getattr(processor, f"post_process_{task}_segmentation")
    with pytest.raises(ValueError, match="output_confidence='softmax' is unknown; choose one of max, entropy, msp, rba, or None"):
        post_process(given, sizes, output_confidence="softmax")
    one = random_outputs(0, num_classes=1)
    with pytest.raises(ValueError, match="output_confidence='entropy' compares classes, and the model has one; choose max or rba"):
        post_process(one, sizes, output_confidence="entropy")
    assert post_process(one, sizes, output_confidence="rba")[0]["confidence"].shape == sizes[0]


def test_levels_are_65536_of_equal_width():
    confidence = torch.tensor([0.0, 1 / 65536, 1.9 / 65536, 0.5, 65535 / 65536, 1.0])
    assert confidence_levels(confidence).tolist() == [0, 1, 1, 32768, 65535, 65535]


def test_memory_of_a_large_image_is_that_of_a_few_maps():
    """Scores of 20 classes at 4000 x 3000 pixels would take 960 MB; the maps of classes and of confidence take 144."""
    found = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True)
    assert 40 < float(found.stdout) < 250  # some of it was free before
