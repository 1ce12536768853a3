"""Anomalies by low confidence: the toy pooled over images, void, levels of 16 bits, and what is refused."""

import pytest
import torch

from eomt.image_processing.confidence import confidence_levels
from eomt.train_scripts.metrics.anomaly_detection import AnomalyDetection

TOY = torch.tensor([[1, 1, 0, 1, 0, 0], [1, 0, 0, 0, 0, 0]])
ANOMALY = torch.tensor([[0.9, 0.8, 0.8, 0.7, 0.6, 0.5], [0.4, 0.4, 0.4, 0.2, 0.1, 0.1]], dtype=torch.float64)
LATER, LATER_ANOMALY = torch.tensor([[0, 0, 1, 0]]), torch.tensor([[0.95, 0.3, 0.2, 0.1]])


def test_toy_in_percent():
    expected = {"auprc": 71.52777778, "auroc": 82.8125, "fpr95": 62.5, "anomalous": 100 / 3}
    assert AnomalyDetection().compute([1 - ANOMALY], [TOY]) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(
    "form", [lambda c: c, confidence_levels, lambda c: confidence_levels(c).to(torch.uint16), lambda c: c.numpy()]
)
def test_pixels_of_all_images_are_pooled_in_any_form_of_the_confidence(form):
    metric = AnomalyDetection()
    metric.add_batch(predictions=[form(1 - ANOMALY), form(1 - LATER_ANOMALY)], references=[TOY, LATER])
    expected = {"auprc": 47.69230769, "auroc": 69.09090909, "fpr95": 72.72727273, "anomalous": 500 / 16}
    assert metric.compute() == pytest.approx(expected, abs=1e-7)


def test_void_pixels_do_not_count():
    truth, confidence = torch.cat([TOY, torch.full((1, 6), 255)]), torch.cat([1 - ANOMALY, torch.zeros(1, 6)])
    assert AnomalyDetection().compute([confidence], [truth]) == AnomalyDetection().compute([1 - ANOMALY], [TOY])
    other = torch.where(truth == 255, 9, truth)
    assert AnomalyDetection(ignore_index=9).compute([confidence], [other]) == AnomalyDetection().compute([1 - ANOMALY], [TOY])


def test_without_anomalies_or_without_others_there_is_no_curve():
    none = {"auprc": None, "auroc": None, "fpr95": None}
    assert AnomalyDetection().compute([1 - ANOMALY], [0 * TOY]) == {**none, "anomalous": 0.0}
    assert AnomalyDetection().compute([1 - ANOMALY], [0 * TOY + 1]) == {**none, "anomalous": 100.0}
    assert AnomalyDetection().compute([1 - ANOMALY], [0 * TOY + 255]) == {**none, "anomalous": 0.0}


def test_wrong_arguments():
    metric = AnomalyDetection()
    with pytest.raises(ValueError, match=r"confidence is \(2, 6\), but the truth \(1, 4\). Both must be \(H, W\): post-process to"):
        metric.add(1 - ANOMALY, LATER)
    with pytest.raises(ValueError, match=r"reference has the values \[2\]; allowed are 0, 1 for anomalies, and 255 for void"):
        metric.add(1 - ANOMALY, 2 * TOY)
    for wrong, line in (
        (ANOMALY + 1, r"from 1.1\d* to 1.9\d*, but floats must lie in 0..1\."),
        (torch.full((2, 6), float("nan")), "from nan to nan, but floats must"),
        (torch.full((2, 6), 65536), r"from 65536 to 65536, but integers must lie in 0..65535\."),
    ):
        with pytest.raises(ValueError, match=line):
            metric.add(wrong, TOY)
    assert not metric.state.any()
