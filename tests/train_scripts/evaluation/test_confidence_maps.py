"""Results with maps of confidence: a task's result unchanged, levels of each score, and names that options have as well."""

import torch

from eomt import EomtImageProcessor
from eomt.image_processing.confidence import CONFIDENCES, confidence_levels
from eomt.modeling_eomt import EomtForUniversalSegmentationOutput
from eomt.train_scripts.data.choices import CONFIDENCE_NAMES
from eomt.train_scripts.evaluation.confidence_maps import WithConfidence
from eomt.train_scripts.evaluation.tasks import task_of


def test_options_and_functions_have_the_same_names():
    assert CONFIDENCE_NAMES == tuple(CONFIDENCES)


def test_a_result_comes_with_the_levels_of_each_score():
    generator = torch.Generator().manual_seed(0)
    outputs = EomtForUniversalSegmentationOutput(
        masks_queries_logits=torch.randn(1, 5, 16, 16, generator=generator),
        class_queries_logits=torch.randn(1, 5, 4, generator=generator),
    )
    processor, task = EomtImageProcessor(size={"shortest_edge": 64, "longest_edge": 64}), task_of("semantic")
    result, maps = WithConfidence(task, ["entropy", "max"]).result(processor, outputs, (40, 60), 0.8, 0.0)
    assert torch.equal(result, task.result(processor, outputs, (40, 60), 0.8, 0.0)) and list(maps) == ["entropy", "max"]
    for name, levels in maps.items():
        (expected,) = processor.post_process_semantic_segmentation(outputs, [(40, 60)], output_confidence=name)
        assert torch.equal(levels, confidence_levels(expected.confidence)) and levels.unique().numel() > 100
