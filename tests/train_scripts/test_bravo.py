"""From images in BRAVO's tree to the files of a submission and their scores, by the two commands."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from eomt import EomtConfig, EomtForUniversalSegmentation
from eomt.train_scripts import bravo
from eomt.train_scripts.data.bravo_tree import CLASS_NAMES
from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.evaluation.tasks import task_of
from eomt.train_scripts.predict import predict

STREET = "bravo_synrain/lindau/a_000001"
ROAD = "bravo_SMIYC/RoadAnomaly21/images/cow0001"


@pytest.fixture
def street_model(tmp_path):
    """`street_model(names)`: a folder with a tiny semantic model of these classes."""

    def build(names) -> str:
        sizes = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, num_blocks=1, num_queries=30, image_size=64)
        torch.manual_seed(0)
        model = EomtForUniversalSegmentation(EomtConfig(**sizes, id2label=dict(enumerate(names))))
        with torch.no_grad():
            model.class_predictor.weight.mul_(6)
        model.save_pretrained(tmp_path / "model")
        task_of("semantic").processor(64, Labels(list(names), [False] * len(names))).save_pretrained(tmp_path / "model")
        return str(tmp_path / "model")

    return build


@pytest.fixture
def photos(tmp_path):
    random = np.random.default_rng(0)
    for name in (f"{STREET}_leftImg8bit.png", f"{ROAD}.jpg"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True)
        Image.fromarray(random.integers(0, 256, (48, 96, 3), dtype=np.uint8)).save(path)
    return str(tmp_path / "photos")


@pytest.mark.parametrize("names", [CLASS_NAMES, [f"LABEL_{index}" for index in range(19)]], ids=["named", "without names"])
def test_a_submission_is_written_and_scored(street_model, photos, bravo_tree, tmp_path, capsys, names):
    checkpoint, out = street_model(names), tmp_path / "out"
    predict(checkpoint, photos, "semantic", out, format="bravo", bf16=False)
    predict(checkpoint, photos, "semantic", tmp_path / "plain", confidence=["max"], bf16=False)
    files = {path.relative_to(out / "bravo").as_posix() for path in (out / "bravo").rglob("*.*")}
    stems = {f"{STREET}_leftImg8bit": f"{STREET}_leftImg8bit", ROAD: ROAD}
    assert files == {f"{stem}_{kind}.png" for stem in stems for kind in ("pred", "conf")}
    for stem in stems:
        classes, levels = (np.asarray(Image.open(out / "bravo" / f"{stem}_{kind}.png")) for kind in ("pred", "conf"))
        assert classes.dtype == np.uint8 and levels.dtype == np.uint16 and classes.shape == levels.shape == (48, 96)
        assert np.array_equal(classes, np.asarray(Image.open(tmp_path / "plain" / "semantic" / f"{stem}.png")))
        assert np.array_equal(levels, np.asarray(Image.open(tmp_path / "plain" / "confidence" / "max" / f"{stem}.png")))

    random = np.random.default_rng(1)
    maps = dict(label=random.integers(0, 19, (48, 96)), invalid=random.integers(0, 2, (48, 96)), classes=[[0]], confidence=[[0]])
    bravo_tree(["synrain"], "a_000001", **maps)
    truth, _ = bravo_tree(["SMIYC"], "cow0001", **maps)
    words = ["--predictions", out / "bravo", "--truth", truth, "--output", tmp_path / "scores.json"]
    bravo.main(list(map(str, words)))
    lines = capsys.readouterr().out.splitlines()
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert list(scores) == ["synrain", "SMIYC", "all"] and 30 < scores["SMIYC"]["auroc_ood"] < 70
    assert lines[0].split()[:3] == ["subset", "mIoU", "AUROC"] and [line.split()[0] for line in lines[1:4]] == list(scores)
    assert lines[5] == f"semantic:    {scores['all']['semantic']:.1f}" and "bravo_index: -" in lines


def test_what_does_not_fit_the_challenge_is_refused(street_model, photos, tmp_path):
    checkpoint = street_model([*CLASS_NAMES[:-1], "horse"])
    with pytest.raises(ValueError, match="format='bravo' is for Cityscapes' classes, road, .*, but the checkpoint has 19: road"):
        predict(checkpoint, photos, "semantic", tmp_path / "out", format="bravo")
    with pytest.raises(ValueError, match="format='bravo' with task='panoptic', confidence=.'max'.: the challenge takes classes"):
        predict(checkpoint, photos, "panoptic", tmp_path / "out", format="bravo")
    with pytest.raises(ValueError, match="give task='semantic' and one score"):
        predict(checkpoint, photos, "semantic", tmp_path / "out", format="bravo", confidence=["max", "rba"])
    with pytest.raises(ValueError, match="format='cityscapes' is unknown; choose one of task, bravo"):
        predict(checkpoint, photos, "semantic", tmp_path / "out", format="cityscapes")
    checkpoint = street_model(CLASS_NAMES)
    with pytest.raises(
        ValueError, match="images has a_000001_leftImg8bit.png, but format='bravo' needs the folder that bravo_ACDC, "
    ):
        predict(checkpoint, f"{photos}/bravo_synrain/lindau", "semantic", tmp_path / "out", format="bravo")
