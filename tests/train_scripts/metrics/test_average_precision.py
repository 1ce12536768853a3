"""Average precision: by hand, and against COCO's evaluation on made and on real annotations."""

import contextlib
import io
import math

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from scipy import ndimage

from eomt.train_scripts.data.run_lengths import segments_to_rles
from eomt.train_scripts.data.samples import Sample
from eomt.train_scripts.metrics.average_precision import AveragePrecision


def detections_of(*detections: tuple[list[list[int]], float, int]) -> dict:
    """A prediction of (mask, score, label)s."""
    masks, scores, labels = zip(*detections, strict=True)
    rles = [segments_to_rles(torch.tensor(mask), [1])[0] for mask in masks]
    return {"rles": rles, "scores": torch.tensor(scores), "labels": torch.tensor(labels)}


NOTHING = {"rles": [], "scores": torch.zeros(0), "labels": torch.zeros(0, dtype=torch.int64)}


def test_a_perfect_prediction(sample):
    truth = sample([[5, 5, 9], [5, 5, 9]], {5: 0, 9: 2})
    result = AveragePrecision(3).compute([detections_of(([[1, 1, 0]] * 2, 0.5, 0), ([[0, 0, 1]] * 2, 0.1, 2))], [truth])
    assert result["per_class"] == [100.0, None, 100.0]
    assert {name: result[name] for name in ("ap", "ap50", "ap75", "ap_small")} == dict.fromkeys(
        ["ap", "ap50", "ap75", "ap_small"], 100.0
    )
    assert result["ap_medium"] == result["ap_large"] == -1  # none are there


def crowded(sample) -> tuple[Sample, dict]:
    """300 objects, all found, the best first."""
    ids = np.kron(np.arange(1, 301).reshape(15, 20), np.ones((2, 2), int))
    truth = sample(ids.tolist(), {index: 0 for index in range(1, 301)})
    found = {"rles": segments_to_rles(truth.id_map, truth.segment_ids.tolist()), "labels": torch.zeros(300, dtype=torch.int64)}
    return truth, {**found, "scores": torch.linspace(1, 0.5, 300)}


def test_more_than_255_objects_in_an_image(sample):
    """Of which the best 100 detections count: a third of the recall."""
    truth, found = crowded(sample)
    result = AveragePrecision(1).compute([found], [truth])
    assert result["ap"] == pytest.approx(100 * 34 / 101)  # recalls of 0 to .33


def test_without_a_limit_all_of_300_objects_count(sample):
    truth, found = crowded(sample)
    limited = AveragePrecision(1).compute([found], [truth])
    result = AveragePrecision(1, complete=True).compute([found], [truth])
    assert result == {**limited, "ap_all": 100.0, "ap50_all": 100.0} and limited["ap"] < 34
    assert check_states_merge(truth, found) == result
    first = {name: values[:50] for name, values in found.items()}
    result = AveragePrecision(1, complete=True).compute([{**first, "all": found}], [truth])
    assert result["ap"] == pytest.approx(100 * 17 / 101) and result["ap_all"] == 100.0  # of each part its own
    with pytest.raises(ValueError, match="rles has 300 entries, but scores the shape"):
        AveragePrecision(1, complete=True).add({**first, "all": {**found, "scores": torch.zeros(2)}}, truth)


def check_states_merge(truth: Sample, found: dict) -> dict:
    one, other = AveragePrecision(1, complete=True), AveragePrecision(1, complete=True)
    one.add(found, truth)
    other.merge([one.state, other.state])
    return other.compute()


def test_by_hand(sample):
    """Two objects of four pixels. By score: an IoU of 3/4, a false one, a perfect one."""
    truth = sample([[1, 1, 1, 1, 0, 0], [2, 2, 2, 2, 0, 0]], {1: 0, 2: 0})
    prediction = detections_of(
        ([[1, 1, 1, 0, 0, 0], [0] * 6], 0.9, 0),
        ([[0, 0, 0, 0, 1, 1], [0] * 6], 0.8, 0),
        ([[0] * 6, [1, 1, 1, 1, 0, 0]], 0.7, 0),
    )
    result = AveragePrecision(1).compute([prediction], [truth])
    both = (51 * 1 + 50 * 2 / 3) / 101  # precision 1 up to a recall of 1/2, 2/3 from there on
    one = 51 * (1 / 3) / 101  # from .8 on only the third hits
    assert result["ap50"] == result["ap75"] == pytest.approx(100 * both)
    assert result["ap"] == pytest.approx(100 * (6 * both + 4 * one) / 10)


def test_an_object_is_found_once(sample):
    truth = sample([[1, 1, 0]], {1: 0})
    twice = detections_of(([[1, 1, 0]], 0.9, 0), ([[1, 1, 0]], 0.8, 0), ([[1, 1, 0]], 0.95, 0))
    metric = AveragePrecision(1)
    metric.add(twice, truth)
    (table,) = metric.state["detections"].values()
    assert table["score"].tolist() == pytest.approx([0.95, 0.9, 0.8]) and table["matched"][:, 0, 0, 0].tolist() == [
        True,
        False,
        False,
    ]
    assert not table["ignored"][:, 0, 0].any() and metric.state["objects"].tolist() == [[1, 1, 0, 0]]


def test_crowd_excuses_any_number_of_detections_and_is_not_to_be_found(sample):
    truth = sample([[1, 1, 1, 1, 2]], {1: 0, 2: 0}, crowd=(1,))
    prediction = detections_of(([[1, 1, 0, 0, 0]], 0.9, 0), ([[0, 0, 1, 0, 0]], 0.8, 0), ([[0, 0, 0, 0, 1]], 0.7, 0))
    assert AveragePrecision(1).compute([prediction], [truth])["ap"] == 100.0


def test_nothing_found_and_nothing_to_find(sample):
    assert AveragePrecision(1).compute([NOTHING], [sample([[1]], {1: 0})])["ap"] == 0.0
    assert AveragePrecision(1, boundary=True).compute()["boundary_ap"] == -1
    result = AveragePrecision(2).compute([detections_of(([[1, 0]], 0.5, 0))], [sample([[0, 0]], {})])
    assert result["ap"] == -1 and result["per_class"] == [None, None]
    assert AveragePrecision(1).compute([NOTHING], [sample([[0]], {1: 0})])["ap"] == -1  # an object without a pixel


def test_scores_may_be_of_any_precision(sample):
    truth, prediction = sample([[1, 1]], {1: 0}), detections_of(([[1, 1]], 0.5, 0))
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        assert AveragePrecision(1).compute([prediction | {"scores": prediction["scores"].to(dtype)}], [truth])["ap"] == 100.0


def test_wrong_arguments(sample):
    truth, prediction = sample([[1, 1]], {1: 0}), detections_of(([[1, 1]], 0.5, 0))

    def refused(match: str, truth: Sample = truth, **changes) -> None:
        with pytest.raises(ValueError, match=match):
            AveragePrecision(1).add(prediction | changes, truth)

    refused(r"rles has 1 entries, but scores the shape \(2,\) and labels \(1,\)", scores=torch.zeros(2))
    refused(r"rles has 0 entries", rles=[])
    refused(r"labels has the classes \[1\]; allowed are 0..0", labels=torch.tensor([1]))
    refused(r"labels has the classes \[-1\]", labels=torch.tensor([-1]))
    refused(r"scores has NaN at \[0\]", scores=torch.tensor([math.nan]))
    refused(r"rles\[0\] must be {'size': \[1, 3\]", truth=sample([[1, 1, 1]], {1: 0}))
    refused(r"rles\[0\] has broken counts", rles=[{"size": [1, 2], "counts": b"03"}])
    refused(r"class_labels has the classes \[4\]", truth=sample([[1, 1]], {1: 4}))
    metric = AveragePrecision(1)
    metric.add(prediction, truth)
    with pytest.raises(ValueError, match="image_id 'one' was added before"):
        metric.add(prediction, truth)
    with pytest.raises(ValueError, match=r"states have the images \['one'\] twice"):
        metric.merge([metric.state, metric.state])


def boundary_rle(rle: dict) -> dict:
    mask = coco_mask.decode(rle).astype(bool)
    iterations = max(1, round(0.02 * math.hypot(*mask.shape)))
    inside = ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=iterations)
    return coco_mask.encode(np.asfortranarray(mask & ~inside, dtype=np.uint8))


class BoundaryEval(COCOeval):
    """COCO's evaluation with the lesser of mask and boundary IoU; crowds have no boundary."""

    def computeIoU(self, image, category):  # noqa: N802
        ious = super().computeIoU(image, category)
        objects, detected = self._gts[image, category], self._dts[image, category]
        if not len(objects) or not len(detected):
            return ious
        ranked = np.argsort([-one["score"] for one in detected], kind="stable")[: self.params.maxDets[-1]]
        detected = [detected[i] for i in ranked]
        crowd = np.array([one["iscrowd"] for one in objects], dtype=bool)
        boundaries = [[boundary_rle(one["segmentation"]) for one in group] for group in (detected, objects)]
        return np.where(crowd, ious, np.minimum(ious, coco_mask.iou(*boundaries, crowd.astype(np.uint8))))


def evaluated(samples: list[Sample], predictions: list[dict], num_classes: int, kind: type[COCOeval], most: int = 100) -> COCOeval:
    """COCO's evaluation of the same; its images are numbered in the order of their ids, in which equal scores rank."""
    images, objects, results = [], [], []
    for number, i in enumerate(np.argsort([sample.image_id for sample in samples]).tolist(), 1):
        sample, prediction = samples[i], predictions[i]
        images.append({"id": number, "height": sample.id_map.shape[0], "width": sample.id_map.shape[1]})
        columns = sample.segment_ids.tolist(), sample.class_labels.tolist(), sample.is_crowd.tolist()
        for segment, label, crowd in zip(*columns, strict=True):
            rle = coco_mask.encode(np.asfortranarray(sample.id_map.numpy() == segment, dtype=np.uint8))
            entry = {"id": len(objects) + 1, "image_id": number, "category_id": label + 1, "iscrowd": int(crowd)}
            objects.append({**entry, "segmentation": rle, "area": int(coco_mask.area(rle))})
        columns = prediction["rles"], prediction["scores"].tolist(), prediction["labels"].tolist()
        for rle, score, label in zip(*columns, strict=True):
            results.append({"image_id": number, "category_id": label + 1, "segmentation": rle, "score": score})
    truth = COCO()
    categories = [{"id": label + 1, "name": str(label)} for label in range(num_classes)]
    truth.dataset = {"info": {}, "images": images, "annotations": objects, "categories": categories}
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = kind(truth, truth.loadRes(results), "segm")
        evaluation.params.maxDets[-1] = most
        evaluation.evaluate()
        evaluation.accumulate()
        if most == 100:  # it is what it can print
            evaluation.summarize()
    return evaluation


def check_against_pycocotools(samples: list[Sample], predictions: list[dict], num_classes: int) -> dict:
    assert any(torch.bincount(prediction["labels"]).max() > 100 for prediction in predictions)
    assert any(sample.is_crowd.any() for sample in samples)
    evaluation = evaluated(samples, predictions, num_classes, COCOeval)
    result = AveragePrecision(num_classes).compute(predictions, samples)
    names = ["ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large"]
    assert [result[name] for name in names] == pytest.approx((100 * evaluation.stats[:6]).tolist(), abs=1e-6)
    assert 5 < min(result[name] for name in names) <= max(result[name] for name in names) < 90
    precision = np.moveaxis(evaluation.eval["precision"][..., 0, 2], 2, 0)  # (C, T, recalls), -1 where there are no objects
    expected = [None if (curves < 0).all() else pytest.approx(100 * curves.mean(), abs=1e-6) for curves in precision]
    assert result["per_class"] == expected
    return result


def check_without_limit(samples: list[Sample], predictions: list[dict], num_classes: int) -> None:
    """Against pycocotools with as many detections as there are. The other figures stay those of 100."""
    precision = evaluated(samples, predictions, num_classes, COCOeval, most=1000).eval["precision"][..., 0, -1]  # (T, recalls, C)
    result = AveragePrecision(num_classes, complete=True).compute(predictions, samples)
    for name, curves in {"ap_all": precision, "ap50_all": precision[0]}.items():
        assert result.pop(name) == pytest.approx(100 * curves[curves > -1].mean(), abs=1e-6)
    assert result == AveragePrecision(num_classes).compute(predictions, samples)


def check_boundaries(samples: list[Sample], predictions: list[dict], num_classes: int) -> dict:
    expected = 100 * evaluated(samples, predictions, num_classes, BoundaryEval).stats
    result = AveragePrecision(num_classes, boundary=True).compute(predictions, samples)
    assert [result["boundary_ap"], result["boundary_ap50"]] == pytest.approx([expected[0], expected[1]], abs=1e-6)
    assert 5 < result["boundary_ap"] < result["ap"]
    return {name: value for name, value in result.items() if not name.startswith("boundary")}


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # in pycocotools' decode
def test_made_annotations_score_as_in_pycocotools(made_samples, detections):
    """Crowd, void, equal scores, overlaps, more than 100 detections of a class in an image, images without segments."""
    predictions = detections(made_samples, 5)
    result = check_against_pycocotools(made_samples, predictions, 5)
    assert check_boundaries(made_samples, predictions, 5) == result
    check_without_limit(made_samples, predictions, 5)


def test_real_annotations_score_as_in_pycocotools(coco, detections):
    labels, samples = coco
    check_against_pycocotools(samples, detections(samples, len(labels)), len(labels))
    check_without_limit(samples, detections(samples, len(labels)), len(labels))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_boundaries_of_real_annotations_score_by_the_definition(coco, detections):
    labels, samples = coco
    check_boundaries(samples[:40], detections(samples[:40], len(labels)), len(labels))
