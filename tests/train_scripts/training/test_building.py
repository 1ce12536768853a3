"""What a run starts from: each kind of start gives the model of its architecture, and the image processor its pixel statistics."""

import json

import pytest
import timm
import torch
from safetensors.torch import save_file
from transformers import (
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    DINOv3ViTConfig,
    DINOv3ViTModel,
    SegformerConfig,
)

from eomt import EomtDinov3ForUniversalSegmentation, EomtForUniversalSegmentation, EomtImageProcessor
from eomt.train_scripts.data import scenes
from eomt.train_scripts.evaluation.loading import load_model, load_processor
from eomt.train_scripts.evaluation.tasks import task_of
from eomt.train_scripts.training.arguments import EomtTrainingArguments
from eomt.train_scripts.training.building import build_model, build_processor, build_streams
from eomt.train_scripts.training.data_arguments import DataArguments
from eomt.train_scripts.training.model_arguments import ModelArguments

TINY = dict(hidden_size=32, num_hidden_layers=3, num_attention_heads=2, num_blocks=2, num_queries=9)
DATA = DataArguments(data="unread", image_size=64)


def built(config=None, **start):
    return build_model(ModelArguments(config=json.dumps(config or {}), **start), DATA, scenes.LABELS)


@pytest.mark.every_encoder
def test_random_weights_of_every_architecture_and_a_checkpoint_of_them(model_type, tmp_path):
    torch.manual_seed(0)
    model = built({**TINY, "model_type": model_type})
    assert model.config.model_type == model_type and model.config.num_labels == len(scenes.LABELS)
    model.save_pretrained(tmp_path)
    again = built({"num_queries": 9}, checkpoint=str(tmp_path))
    assert type(again) is type(model)
    for tensor, stored in zip(again.state_dict().values(), model.state_dict().values(), strict=True):
        assert torch.equal(tensor, stored)
    scored = load_model(str(tmp_path))
    assert type(scored) is type(model) and scored.attn_mask_probs.tolist() == [0, 0]
    processor = load_processor(str(tmp_path), task_of("panoptic"), 64, scenes.LABELS)
    assert list(processor.image_mean) == list(model.config.image_mean)


def test_a_dinov3_of_transformers(tmp_path):
    DINOv3ViTModel(DINOv3ViTConfig(hidden_size=32, num_hidden_layers=3, num_attention_heads=2)).save_pretrained(tmp_path)
    model = built({"num_blocks": 2}, checkpoint=str(tmp_path))
    assert type(model) is EomtDinov3ForUniversalSegmentation and model.config.num_blocks == 2


@pytest.mark.parametrize(
    "model_class, config_class", [(Dinov2Model, Dinov2Config), (Dinov2WithRegistersModel, Dinov2WithRegistersConfig)]
)
def test_a_dinov2_of_transformers(model_class, config_class, tmp_path):
    vit = model_class(config_class(hidden_size=64, num_hidden_layers=3, num_attention_heads=1, image_size=56))
    vit.save_pretrained(tmp_path)
    model = built({"num_blocks": 2}, checkpoint=str(tmp_path))
    assert type(model) is EomtForUniversalSegmentation and model.config.num_blocks == 2 and model.config.patch_size == 16


def test_weights_of_timm_by_their_file(tmp_path):
    for name, model_class in (
        ("vit_small_patch16_dinov3", EomtDinov3ForUniversalSegmentation),
        ("vit_tiny_patch16_224", EomtForUniversalSegmentation),
    ):
        save_file(timm.create_model(name, num_classes=0).state_dict(), tmp_path / "vit.safetensors")
        assert type(built(timm_model=str(tmp_path / "vit.safetensors"))) is model_class


@pytest.mark.parametrize(
    "config, said",
    [
        ({"mlp_ratio": 2, "model_type": "eomt_dinov3"}, "EomtDinov3Config.*no field mlp_ratio"),
        ({"use_gated_mlp": True}, "EomtConfig.*"),
    ],
)
def test_fields_of_another_architecture_are_refused(config, said):
    with pytest.raises(ValueError, match=said):
        built({**TINY, **config})


@pytest.mark.parametrize(
    "config, start, said",
    [
        ({"model_type": "bert"}, {}, "model_type must be one of eomt, eomt_dinov3, eomt_eva02"),
        ({"model_type": "eomt"}, {"checkpoint": "x"}, "a checkpoint has a model_type of its own"),
    ],
)
def test_a_model_type_is_checked(config, start, said):
    with pytest.raises(ValueError, match=said):
        built(config, **start)


def test_fields_of_another_architecture_are_refused_of_a_checkpoint(tmp_path):
    built({**TINY, "model_type": "eomt_dinov3"}).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="EomtDinov3Config, of this start, has no field use_swiglu_ffn"):
        built({"use_swiglu_ffn": True}, checkpoint=str(tmp_path))


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    SegformerConfig().save_pretrained(tmp_path)
    for load in (lambda: built(checkpoint=str(tmp_path)), lambda: load_model(str(tmp_path))):
        with pytest.raises(ValueError, match="is a segformer model; give an EoMT checkpoint"):
            load()


def test_the_processor_has_the_pixel_statistics_of_the_start(tmp_path):
    def mean(**start) -> float:
        return build_processor(ModelArguments(**start), DATA, task_of("panoptic"), scenes.LABELS).image_mean[0]

    assert mean() == pytest.approx(0.485)
    assert mean(timm_model="vit_large_patch16_dinov3.sat493m") == pytest.approx(0.43)
    vit = timm.create_model("eva02_base_patch14_224", num_classes=0)
    save_file(vit.state_dict(), tmp_path / "vit.safetensors")
    assert mean(timm_model=str(tmp_path / "vit.safetensors")) == pytest.approx(0.48145466)
    assert mean(config='{"model_type": "eomt_eva02"}') == pytest.approx(0.48145466)
    built({**TINY}).save_pretrained(tmp_path)
    assert mean(checkpoint=str(tmp_path)) == pytest.approx(0.485)
    EomtImageProcessor(image_mean=[0.1, 0.2, 0.3]).save_pretrained(tmp_path)
    assert mean(checkpoint=str(tmp_path)) == pytest.approx(0.1)


@pytest.mark.parametrize(("task", "is_thing"), [("panoptic", scenes.LABELS.isthing), ("instance", [True] * 8)])
def test_copy_paste_knows_the_things_of_the_task(task, is_thing, tmp_path):
    scenes.write_scenes(tmp_path / "data", train=12, val=1)
    options = dict(data=str(tmp_path / "data"), task=task, image_size=64, eval_split=None)
    streams = {}
    for probability in (0.0, 1.0):
        data_args = DataArguments(**options, copy_paste=probability)
        streams[probability], _ = build_streams(data_args, EomtTrainingArguments(str(tmp_path)), None, task_of(task))
    assert streams[0.0].copy_paste is None and streams[1.0].copy_paste.is_thing == is_thing
    plain, pasted = (list(zip(range(10), streams[probability], strict=False)) for probability in (0.0, 1.0))
    assert sum(not torch.equal(one["image"], two["image"]) for (_, one), (_, two) in zip(plain, pasted, strict=True)) > 3
    with pytest.raises(ValueError, match="no things|pastes things, but labels.json has none"):
        scenes_without_things(tmp_path / "data")
        build_streams(data_args, EomtTrainingArguments(str(tmp_path)), None, task_of("panoptic"))


def scenes_without_things(folder) -> None:
    content = json.loads((folder / "labels.json").read_text())
    classes = [{**entry, "isthing": False} for entry in content["classes"]]
    (folder / "labels.json").write_text(json.dumps({**content, "classes": classes}))
