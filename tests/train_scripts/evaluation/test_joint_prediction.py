"""Tasks on one frozen encoder, predicted together by the command: files are those of each model alone."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from eomt import EomtForUniversalSegmentation, EomtImageProcessor
from eomt.train_scripts.data import scenes
from eomt.train_scripts.evaluation.inference_options import PredictOptions
from eomt.train_scripts.evaluation.joint_prediction import TaskModel, share_processing
from eomt.train_scripts.evaluation.tasks import task_of
from eomt.train_scripts.predict import predict


@pytest.fixture(scope="module")
def family(checkpoints, tmp_path_factory) -> Path:
    """The checkpoints of all tasks, on the encoder of the panoptic one."""
    folder = tmp_path_factory.mktemp("family")
    encoder = EomtForUniversalSegmentation.from_pretrained(checkpoints / "panoptic")
    for task in ("panoptic", "instance", "semantic"):
        model = EomtForUniversalSegmentation.from_pretrained(checkpoints / task)
        model.embeddings.load_state_dict(encoder.embeddings.state_dict())
        model.layers[:1].load_state_dict(encoder.layers[:1].state_dict())
        model.save_pretrained(folder / task)
        EomtImageProcessor.from_pretrained(checkpoints / task).save_pretrained(folder / task)
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for number, (height, width) in enumerate([(112, 112), (70, 112), (112, 60)]):
        image, *_ = scenes.make_scene(np.random.default_rng(number), held_out=True)
        Image.fromarray(image[:height, :width]).save(folder / f"{number}.png")
    return folder


def records(folder: Path) -> dict:
    return {path.name: json.loads(path.read_text()) for path in (folder / "records").glob("*.json")}


def test_files_are_those_of_each_model_alone_and_the_encoder_runs_once(family, photos, tmp_path, monkeypatch):
    for task in ("panoptic", "instance"):
        limits = {"threshold": 0.05} if task == "panoptic" else {}
        predict(family / task, photos, task, tmp_path / f"alone_{task}", bf16=False, **limits)
    runs, encode = [], EomtForUniversalSegmentation.encode_images
    monkeypatch.setattr(
        EomtForUniversalSegmentation, "encode_images", lambda self, *inputs: [runs.append(1), encode(self, *inputs)][1]
    )
    words = dict(threshold=0.05, bf16=False, also=[f"instance={family / 'instance'}"])
    assert predict(family / "panoptic", photos, "panoptic", tmp_path / "out", **words) == {"predicted": 3, "done": 0, "broken": 0}
    assert len(runs) == 3
    for output, task in (("out", "panoptic"), ("out_instance", "instance")):
        assert records(tmp_path / output) == records(tmp_path / f"alone_{task}") and records(tmp_path / output)
        for path in (tmp_path / f"alone_{task}").rglob("*.png"):
            assert (tmp_path / output / path.relative_to(tmp_path / f"alone_{task}")).read_bytes() == path.read_bytes()
    assert predict(family / "panoptic", photos, "panoptic", tmp_path / "out", **words) == {"predicted": 0, "done": 3, "broken": 0}


def test_a_model_that_cuts_windows_pads_where_another_does(family, photos, tmp_path):
    also = [f"semantic={family / 'semantic'}"]
    predict(family / "panoptic", photos, "panoptic", tmp_path / "out", bf16=False, also=also)
    model = EomtForUniversalSegmentation.from_pretrained(family / "semantic").eval()
    model.set_attn_mask_probs([0.0])
    processor = EomtImageProcessor.from_pretrained(family / "panoptic")
    for path in photos.glob("*.png"):
        image = Image.open(path)
        with torch.no_grad():
            outputs = model(**processor(images=[image], return_tensors="pt"))
        expected = processor.post_process_semantic_segmentation(outputs, [image.size[::-1]], tolerance=0.001)[0]
        (written,) = (tmp_path / "out_semantic").rglob(path.name)
        assert np.array_equal(np.asarray(Image.open(written)), expected.numpy())


def test_models_and_processors_that_differ_are_refused(family, checkpoints, photos, tmp_path):
    with pytest.raises(ValueError, match="differ in the weights embeddings.* and share no encoder"):
        predict(checkpoints / "panoptic", photos, "panoptic", tmp_path / "a", also=[f"instance={checkpoints / 'instance'}"])
    model = EomtForUniversalSegmentation.from_pretrained(family / "panoptic")
    processors = [EomtImageProcessor(), EomtImageProcessor(image_mean=[0.5, 0.5, 0.5])]
    models = {str(index): TaskModel(model, processor, task_of("panoptic")) for index, processor in enumerate(processors)}
    with pytest.raises(ValueError, match="models '0' and '1' want images of another image_mean"):
        share_processing(models)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(also=["outputs"]), "also='outputs' must be TASK=CHECKPOINT"),
        (dict(also=["depth=x"]), "also='depth'"),
        (dict(also=["panoptic=a/x", "instance=b/x"]), "two checkpoints have folders of one name"),
        (dict(also=["panoptic=x"], merge_tokens="algm"), "leave out merge_tokens"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        PredictOptions(checkpoint="x", images="photos", task="panoptic", output="out", **options)
