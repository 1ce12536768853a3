"""How well low confidence finds anomalies, pixel by pixel: AUPRC, AUROC and FPR95 of out-of-distribution detection.

Shapes: H, W pixels, L = 65,536 levels of confidence.
"""

from collections.abc import Sequence

import datasets
import evaluate
import torch
from torch import Tensor

from eomt.image_processing.confidence import LEVELS
from eomt.train_scripts.metrics.confidence_counts import count_levels
from eomt.train_scripts.metrics.in_memory_metric import MAP, InMemoryMetric
from eomt.train_scripts.metrics.ranking import area_under_precision_recall, area_under_roc, false_positive_rate


class AnomalyDetection(InMemoryMetric):
    """
    Pools the pixels of all images into one curve. A mean over images would be another, easier measure.

    Its `state` is a (2, L) int64 tensor: the pixels of known objects, and of anomalies, at each level of confidence.

    Args:
        ignore_index: of void pixels in references, which don't count.
        kwargs: `evaluate.Metric`'s.
    """

    def __init__(self, ignore_index: int = 255, **kwargs):
        self.ignore_index = ignore_index
        super().__init__(**kwargs)

    def reset(self) -> None:
        self.state = torch.zeros(2, LEVELS, dtype=torch.int64)

    def add(self, prediction: Tensor, reference: Tensor) -> None:
        """Scores an image.

        Args:
            prediction: (H, W) confidence, floats in 0..1 or integer levels in 0..65,535. Anomalies should have a low one.
            reference: (H, W) integers: 1 is an anomaly, 0 is not, `ignore_index` is void.

        Raises:
            ValueError: the maps differ in size, or have other values.
        """
        prediction, reference = torch.as_tensor(prediction).cpu(), torch.as_tensor(reference).cpu()
        counted = reference != self.ignore_index
        if wrong := sorted(set(reference[counted].unique().tolist()) - {0, 1}):
            raise ValueError(
                f"reference has the values {wrong[:10]}; allowed are 0, 1 for anomalies, and {self.ignore_index} for void."
            )
        self.state += count_levels(prediction, reference == 1, counted)

    def merge(self, states: Sequence[Tensor]) -> None:
        """Adds up the (2, L) states of all processes."""
        self.state = torch.stack(list(states)).sum(0)

    def _compute(self) -> dict[str, float | None]:
        """
        Returns:
            In percent: `auprc`, the area under the precision-recall curve of anomalies (average precision); `auroc`; `fpr95`, the
            false positive rate at the first point that finds 95 % of the anomalies; `anomalous`, the share of pixels that are
            anomalies, which is the AUPRC of a score that knows nothing. The first three are None without anomalies or without
            other pixels.
        """
        known, anomalous = self.state.numpy()
        share = 100 * float(anomalous.sum()) / max(1, int(self.state.sum()))
        if not known.any() or not anomalous.any():
            return {"auprc": None, "auroc": None, "fpr95": None, "anomalous": share}
        curve = anomalous[::-1], known[::-1]  # the less confident, the more anomalous
        return {
            "auprc": 100 * area_under_precision_recall(*curve),
            "auroc": 100 * area_under_roc(*curve),
            "fpr95": 100 * false_positive_rate(*curve),
            "anomalous": share,
        }

    def _info(self) -> evaluate.MetricInfo:
        confidence = datasets.List(datasets.List(datasets.Value("float32")))
        return evaluate.MetricInfo(
            description="AUPRC, AUROC and FPR95 of pixels of low confidence as anomalies.",
            citation="Blum et al., The Fishyscapes Benchmark, IJCV 2021",
            features=datasets.Features({"predictions": confidence, "references": MAP}),
        )
