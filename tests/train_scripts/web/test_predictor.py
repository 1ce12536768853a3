"""Segments of one picture for each task, from one forward pass."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from eomt import EomtImageProcessor
from eomt.exported import ExportedMaskClassifier
from eomt.image_processing.pictures import SHADES
from eomt.train_scripts.evaluation import precision
from eomt.train_scripts.web import predictor as module
from eomt.train_scripts.web.predictor import Predictor


@pytest.fixture
def predictor(checkpoint):
    return Predictor(checkpoint)


def test_segments_are_those_of_the_image_processor(predictor, pictures):
    prediction = predictor.predict(pictures / "wide.png")
    assert prediction.pixels.shape == (75, 112, 3) and predictor.task == "panoptic"
    (result,) = predictor.processor.post_process_panoptic_segmentation(prediction.outputs, [(75, 112)], 0.4)
    segments = predictor.segments(prediction, "panoptic", 0.4)
    assert [segment.score for segment in segments] == [info["score"] for info in result["segments_info"]] and segments
    for segment, info in zip(segments, result["segments_info"], strict=True):
        assert segment.name == predictor.names[info["label_id"]]
        assert np.array_equal(segment.mask, result["segmentation"] == info["id"])
    classes = predictor.segments(prediction, "semantic")
    assert sum(segment.mask.sum() for segment in classes) == 75 * 112
    assert {segment.score for segment in classes} == {None}


def test_instances_are_things(predictor, pictures):
    prediction = predictor.predict(pictures / "square.png")
    instances = predictor.segments(prediction, "instance", 0.05, 0.5)
    assert instances and {segment.name for segment in instances} <= {"bee", "fish", "frog"}
    for name in {segment.name for segment in instances}:
        colors = [segment.color for segment in instances if segment.name == name]
        assert len(set(colors)) == min(len(colors), len(SHADES))


def test_higher_thresholds_leave_fewer_segments_without_a_forward_pass(predictor, pictures, monkeypatch):
    prediction = predictor.predict(pictures / "square.png")
    monkeypatch.setattr(predictor, "model", None)
    counts = [len(predictor.segments(prediction, "panoptic", threshold, 0.5, 0.0)) for threshold in (0.1, 0.6, 0.999)]
    assert counts == sorted(counts, reverse=True) and counts[0] > counts[2]


def test_large_pictures_are_shown_smaller(predictor, pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LONGEST_SHOWN", 56)
    prediction = predictor.predict(pictures / "wide.png")
    assert prediction.pixels.shape == (38, 56, 3)
    assert predictor.segments(prediction, "semantic")[0].mask.shape == (38, 56)
    Image.new("RGBA", (10, 20)).save(tmp_path / "clear.png")
    assert predictor.predict(tmp_path / "clear.png").pixels.min() == 255  # on white


def test_tasks_are_those_of_the_checkpoint(checkpoint, tmp_path):
    for name, fields, tasks in [
        ("windows", {"size": {"shortest_edge": 64}, "do_split_image": True, "do_pad": False}, ["semantic"]),
        ("stuff", {"size": {"shortest_edge": 64, "longest_edge": 64}, "stuff_classes": range(5)}, ["semantic"]),
        ("things", {"size": {"shortest_edge": 64, "longest_edge": 64}, "stuff_classes": []}, ["semantic", "instance", "panoptic"]),
    ]:
        folder = tmp_path / name
        folder.mkdir()
        for path in checkpoint.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        EomtImageProcessor(**fields).save_pretrained(folder)
        predictor = Predictor(folder)
        assert predictor.tasks == tasks and predictor.task == ("instance" if name == "things" else "semantic")
        if name == "stuff":
            with pytest.raises(ValueError, match="has no things"):
                Predictor(folder, "instance")
        if name == "windows":
            picture = tmp_path / "long.png"
            Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 150, 3), dtype=np.uint8)).save(picture)
            with torch.no_grad():
                assert sum(s.mask.sum() for s in predictor.segments(predictor.predict(picture), "semantic")) == 64 * 150


def test_a_file_that_is_no_picture_is_named(predictor, tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(ValueError, match=r"notes\.txt: can't be decoded"):
        predictor.predict(tmp_path / "notes.txt")


def test_samples_of_another_size_are_read_as_by_predict(predictor, tmp_path):
    Image.fromarray(np.full((10, 20), 12000, np.uint16)).save(tmp_path / "16_bits.png")
    assert (predictor.predict(tmp_path / "16_bits.png").pixels == 47).all()
    Image.fromarray(np.full((10, 20), 0.5, np.float32)).save(tmp_path / "floats.tif")
    with pytest.raises(ValueError, match=r"picture has pixels of torch.float32 \(mode F\), from 0.5 to 0.5. Store it with 8 bits"):
        predictor.predict(tmp_path / "floats.tif")


def test_an_exported_pt2_is_served_on_trust(checkpoint, predictor, tmp_path, monkeypatch):
    """And in the numbers of its graph, where the machine is faster in bfloat16."""
    folder = shutil.copytree(checkpoint, tmp_path / "pt2")
    (folder / "export.json").write_text(json.dumps({"components": {"model": {"file": "model.pt2"}}}))
    with pytest.raises(ValueError, match="if you trust it, .*--trust_remote_code"):
        Predictor(folder)
    trusted = []
    monkeypatch.setattr(ExportedMaskClassifier, "from_pretrained", lambda *given: trusted.append(given) or predictor.model)
    monkeypatch.setattr(precision, "fast_dtype", lambda device: torch.bfloat16)
    assert Predictor(folder, trust_remote_code=True).dtype == torch.float32 and trusted == [(str(folder), True)]
    assert Predictor(checkpoint).dtype == torch.bfloat16
