"""What all metrics share: `evaluate`'s interface, results that don't depend on how images were shared out, bounded memory."""

import pickle
import random
import socket
import sys
import tracemalloc
from pathlib import Path

import evaluate
import numpy as np
import pytest
import torch

from eomt.train_scripts.data.run_lengths import segments_to_rles
from eomt.train_scripts.data.samples import Sample
from eomt.train_scripts.metrics.anomaly_detection import AnomalyDetection
from eomt.train_scripts.metrics.average_precision import AveragePrecision
from eomt.train_scripts.metrics.confidence_reliability import ConfidenceReliability
from eomt.train_scripts.metrics.mean_iou import MeanIoU
from eomt.train_scripts.metrics.panoptic_quality import PanopticQuality

FOLDER = Path(__file__).resolve().parents[3] / "train_scripts" / "metrics"
METRICS = {
    "panoptic_quality": lambda: PanopticQuality([True, True, True, False, False]),
    "mean_iou": lambda: MeanIoU(5),
    "average_precision": lambda: AveragePrecision(5, boundary=True),
    "anomaly_detection": AnomalyDetection,
    "confidence_reliability": ConfidenceReliability,
}


@pytest.fixture(params=METRICS)
def case(request, made_samples, detections):
    """A metric's maker, with images and predictions to give it."""
    if request.param == "average_precision":
        return METRICS[request.param], made_samples, detections(made_samples, 5)
    generator, predictions = np.random.default_rng(0), []
    if request.param in ("anomaly_detection", "confidence_reliability"):
        return METRICS[request.param], *_confidences(request.param, made_samples, generator)
    for sample in made_samples:
        moved = torch.roll(sample.id_map, tuple(generator.integers(-4, 5, 2).tolist()), (0, 1))
        info = [
            {"id": i, "label_id": label if generator.random() < 0.8 else (label + 1) % 5}
            for i, label in zip(sample.segment_ids.tolist(), sample.class_labels.tolist(), strict=True)
        ]
        classes = torch.full_like(moved, -1)
        for segment in info:
            classes[moved == segment["id"]] = segment["label_id"]
        predictions.append({"segmentation": moved, "segments_info": info} if request.param == "panoptic_quality" else classes)
    return METRICS[request.param], made_samples, predictions


def _confidences(name: str, samples: list[Sample], generator: np.random.Generator) -> tuple[list, list]:
    """Maps of truth, of which a part is void, and confidences in it, with class maps if they are of a metric of classes."""
    references = [torch.where(sample.id_map % 7 == 3, 255, (sample.id_map > 0).int()) for sample in samples]
    predictions = []
    for reference in references:
        noise = torch.from_numpy(generator.random(reference.shape))
        confidence = (noise + 0.3 * (reference == 0)).div(1.3)
        classes = (noise > 0.4).int()
        predictions.append(confidence if name == "anomaly_detection" else {"segmentation": classes, "confidence": confidence})
    return references, predictions


def test_it_is_evaluates(case):
    """All at once, in batches and one by one; after `compute` the next images are scored afresh."""
    make, samples, predictions = case
    metric = make()
    assert isinstance(metric, evaluate.Metric)
    expected = metric.compute(predictions=predictions, references=samples)
    for start in range(0, len(samples), 5):
        metric.add_batch(predictions=predictions[start : start + 5], references=samples[start : start + 5])
    assert metric.compute() == expected
    for prediction, sample in zip(predictions, samples, strict=True):
        metric.add(prediction=prediction, reference=sample)
    assert metric.compute() == expected
    with pytest.raises(ValueError, match="predictions has 24 entries, but references 23. Give one of each an image"):
        metric.add_batch(predictions=predictions, references=samples[1:])
    figures = {name: value for name, value in expected.items() if name != "per_class"}
    assert all(type(value) is float and value == value for value in figures.values())
    assert len(expected.get("per_class", range(5))) == 5


@pytest.mark.parametrize("bounds", [[24], [12], [1], [8, 16], [3, 21], [0, 24]])
def test_results_do_not_depend_on_how_images_are_shared_out(case, bounds):
    """Over one to three processes, evenly, unevenly, with none for one; in any order of images and processes."""
    make, samples, predictions = case
    metric = make()
    expected = metric.compute(predictions, samples)
    order = list(range(len(samples)))
    random.Random(str(bounds)).shuffle(order)
    states = []
    for share in np.split(np.array(order), bounds if bounds != [24] else []):
        part = make()
        part.add_batch([predictions[i] for i in share], [samples[i] for i in share])
        states.append(pickle.loads(pickle.dumps(part.state)))
    random.Random(0).shuffle(states)
    metric.merge(states)
    assert metric.compute() == expected  # to the last bit


def test_they_load_from_their_paths_without_a_network_and_store_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(evaluate.config, "HF_MODULES_CACHE", tmp_path / "modules")  # where evaluate copies the scripts to
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(socket, "socket", None)
    truth = Sample("a", None, torch.ones(2, 2, dtype=torch.int32), *torch.tensor([[1], [0]]), torch.tensor([False]))
    segments = {"segmentation": truth.id_map, "segments_info": [{"id": 1, "label_id": 0}]}
    masks = {"rles": segments_to_rles(truth.id_map, [1]), "scores": [0.5], "labels": [0]}
    for name, options, prediction, score in (
        ("panoptic_quality", {"things": [True]}, segments, "pq"),
        ("mean_iou", {"num_classes": 1}, torch.zeros(2, 2, dtype=torch.int64), "miou"),
        ("average_precision", {"num_classes": 1, "boundary": True}, masks, "boundary_ap"),
        ("anomaly_detection", {}, torch.tensor([[0.9, 0.1]]), "auprc"),
        ("confidence_reliability", {}, {"segmentation": torch.tensor([[0, 0]]), "confidence": torch.tensor([[0.9, 0.1]])}, "auroc"),
    ):
        metric = evaluate.load(str(FOLDER / f"{name}.py"), cache_dir=str(tmp_path / "cache"), **options)
        assert type(metric).__name__ == type(METRICS[name]()).__name__ and type(metric) is not type(METRICS[name]())
        of_maps = name in ("anomaly_detection", "confidence_reliability")
        metric.add_batch(predictions=[prediction], references=[torch.tensor([[0, 1]]) if of_maps else truth])
        assert metric.compute()[score] == 100.0
    assert not (tmp_path / "cache").exists() and not list(tmp_path.rglob("*.arrow"))


def test_memory_for_a_large_photo_is_bounded():
    """200 segments at 4000 x 3000: dense masks of them would be 2.4 GB. numpy reports what it allocates to tracemalloc."""
    rows, columns = torch.arange(3000)[:, None] // 300, torch.arange(4000) // 200
    cells = (rows * 20 + columns).to(torch.int32)  # 0..199
    ids = 80000 * (cells + 1)  # up to 24 bits, as in COCO's PNGs
    segment_ids, labels = 80000 * torch.arange(1, 201), torch.arange(200) % 5
    truth = Sample("a", None, ids, segment_ids, labels, torch.zeros(200, dtype=torch.bool))
    moved = ids.roll((9, -11), (0, 1))
    info = [{"id": i, "label_id": label} for i, label in zip(segment_ids.tolist(), labels.tolist(), strict=True)]
    rles = segments_to_rles(moved, segment_ids.tolist()) + segments_to_rles(torch.ones_like(ids), [1])  # and one over all
    predictions = {
        "panoptic_quality": {"segmentation": moved, "segments_info": info},
        "mean_iou": cells % 5,
        "average_precision": {"rles": rles, "scores": torch.rand(201), "labels": torch.arange(201) % 5},
    }
    for name, prediction in predictions.items():
        metric = METRICS[name]()
        tracemalloc.start()
        metric.add(prediction, truth)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 150 << 20, f"{name}: {peak >> 20} MB"
        assert 50 < next(iter(metric.compute().values())) <= 100
