"""Results of a task together with how sure the model is at each pixel.

Shapes: H, W pixels of an image.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from eomt.image_processing.confidence import confidence_levels
from eomt.image_processing.image_processing_eomt import EomtImageProcessor
from eomt.mask_classifier import EomtForUniversalSegmentationOutput
from eomt.train_scripts.evaluation.tasks import Result, Task


@dataclass(frozen=True)
class WithConfidence:
    """Makes a task's result of an image, and maps of confidence beside it, which are the same for all tasks."""

    task: Task
    names: Sequence[str]  # of `CONFIDENCES`

    def result(
        self,
        processor: EomtImageProcessor,
        outputs: EomtForUniversalSegmentationOutput,
        size: tuple[int, int],
        threshold: float,
        tolerance: float,
    ) -> tuple[Result, dict[str, Tensor]]:
        """What the task's `result` gives, and int32 (H, W) levels 0..65,535 for each name."""
        maps = {}
        for name in self.names:
            semantic = processor.post_process_semantic_segmentation(outputs, target_sizes=[size], output_confidence=name)[0]
            maps[name] = confidence_levels(semantic.confidence)
        return self.task.result(processor, outputs, size, threshold, tolerance), maps
