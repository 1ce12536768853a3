"""Whether a confidence says which pixels are right: AUROC, AUPRC of successes and of errors, FPR95, and calibration error.

Shapes: H, W pixels, L = 65,536 levels of confidence.
"""

from collections.abc import Mapping, Sequence

import datasets
import evaluate
import torch
from torch import Tensor

from eomt.image_processing.confidence import LEVELS
from eomt.train_scripts.metrics.confidence_counts import count_levels
from eomt.train_scripts.metrics.in_memory_metric import MAP, InMemoryMetric
from eomt.train_scripts.metrics.ranking import (
    area_under_precision_recall,
    area_under_roc,
    expected_calibration_error,
    false_positive_rate,
)


class ConfidenceReliability(InMemoryMetric):
    """
    Pools the pixels of all images into one curve, in which a pixel of the right class is a positive.

    Its `state` is a (2, L) int64 tensor: the pixels of a wrong class, and of the right one, at each level of confidence.

    Args:
        ignore_index: of void pixels in references, which don't count.
        kwargs: `evaluate.Metric`'s.
    """

    def __init__(self, ignore_index: int = 255, **kwargs):
        self.ignore_index = ignore_index
        super().__init__(**kwargs)

    def reset(self) -> None:
        self.state = torch.zeros(2, LEVELS, dtype=torch.int64)

    def add(self, prediction: Mapping, reference: Tensor) -> None:
        """Scores an image.

        Args:
            prediction: `segmentation`, (H, W) integer classes, and `confidence`, (H, W) floats in 0..1 or integer levels in
                0..65,535. What `post_process_semantic_segmentation` gives with `output_confidence` has both.
            reference: (H, W) integer classes.

        Raises:
            ValueError: the maps differ in size, or a confidence is out of range.
        """
        classes, confidence = (torch.as_tensor(prediction[name]).cpu() for name in ("segmentation", "confidence"))
        reference = torch.as_tensor(reference).cpu()
        if classes.shape != reference.shape:
            raise ValueError(
                f"The predicted map is {tuple(classes.shape)}, but the true one {tuple(reference.shape)}. Both must be (H, W): "
                "post-process to the size of the truth, with target_sizes."
            )
        self.state += count_levels(confidence, classes == reference, reference != self.ignore_index)

    def merge(self, states: Sequence[Tensor]) -> None:
        """Adds up the (2, L) states of all processes."""
        self.state = torch.stack(list(states)).sum(0)

    def _compute(self) -> dict[str, float | None]:
        """
        Returns:
            In percent: `auroc`; `auprc_success`, the area under the precision-recall curve of right pixels by confidence;
            `auprc_error`, that of wrong pixels by lack of it; `fpr95`, the share of wrong pixels that are as confident as 95 % of
            the right ones; `ece`, the expected calibration error over 15 bins, for which a level stands for its centre. All but
            `ece` are None where all pixels are right or all are wrong, and that, too, without pixels.
        """
        wrong, right = self.state.numpy()
        scores = {"auroc": None, "auprc_success": None, "auprc_error": None, "fpr95": None, "ece": None}
        if right.any() and wrong.any():
            scores["auroc"] = 100 * area_under_roc(right, wrong)
            scores["auprc_success"] = 100 * area_under_precision_recall(right, wrong)
            scores["auprc_error"] = 100 * area_under_precision_recall(wrong[::-1], right[::-1])
            scores["fpr95"] = 100 * false_positive_rate(right, wrong)
        if self.state.any():
            scores["ece"] = 100 * expected_calibration_error(right, wrong)
        return scores

    def _info(self) -> evaluate.MetricInfo:
        confidence = datasets.List(datasets.List(datasets.Value("float32")))
        return evaluate.MetricInfo(
            description="AUROC, AUPRC, FPR95 and calibration error of a confidence in predicted classes.",
            citation="Hendrycks and Gimpel, A Baseline for Detecting Misclassified and Out-of-Distribution Examples, ICLR 2017",
            features=datasets.Features({"predictions": {"segmentation": MAP, "confidence": confidence}, "references": MAP}),
        )
