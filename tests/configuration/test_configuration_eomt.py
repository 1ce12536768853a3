import json

import pytest
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig
from transformers.models.eomt import EomtConfig as StockConfig
from transformers.models.eomt_dinov3 import EomtDinov3Config as StockDinov3Config

from eomt import EomtConfig, EomtDinov3Config
from eomt.configuration import CONFIGURATIONS

BOTH = {"eomt": (EomtConfig, StockConfig), "eomt_dinov3": (EomtDinov3Config, StockDinov3Config)}


@pytest.mark.parametrize("model_type", BOTH)
def test_fields_and_defaults_are_those_of_transformers(model_type):
    ours, stock = BOTH[model_type]
    assert ours().to_dict() == stock().to_dict()
    assert ours().model_type == stock().model_type == model_type


@pytest.mark.parametrize(
    "model_type, fields", [("eomt", dict(use_swiglu_ffn=True)), ("eomt_dinov3", dict(use_gated_mlp=True, rope_theta=50.0))]
)
def test_a_saved_configuration_means_the_same_to_both(model_type, fields, tmp_path):
    fields = dict(hidden_size=128, num_attention_heads=2, num_queries=7, id2label={0: "sky", 1: "car"}, **fields)
    for writer, reader in (BOTH[model_type], BOTH[model_type][::-1]):
        written = writer(**fields)
        written.save_pretrained(tmp_path)
        read = reader.from_pretrained(tmp_path)
        assert read.to_dict() == written.to_dict()
        assert read.num_labels == 2


def test_pairs_survive_saving(tmp_path):
    config = EomtConfig(image_size=(64, 128), patch_size=(16, 32))
    config.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["image_size"] == [64, 128]
    config = EomtConfig.from_pretrained(tmp_path)
    assert (config.image_size_hw, config.patch_size_hw, config.grid_size) == ((64, 128), (16, 32), (4, 4))


@pytest.mark.parametrize(
    "fields, said",
    [
        (dict(image_size=650), ["image_size=650", "650", "16", "resampled; use 640 or 656$"]),
        (dict(image_size=(64, 100)), ["width 100", "use 96 or 112$"]),
        (dict(image_size=10), ["height 10", "use 16$"]),
        (dict(image_size=(64, 64, 64)), ["image_size", "length 2"]),
        (dict(image_size=0), ["image_size=0", "positive"]),
        (dict(num_attention_heads=7), ["hidden_size=1024", "num_attention_heads=7"]),
        (dict(num_blocks=25), ["num_blocks=25", r"1\.\.num_hidden_layers=24"]),
        (dict(num_blocks=0), ["num_blocks=0"]),
        (dict(dice_weight=-1.0), ["dice_weight=-1.0", "negative"]),
        (dict(no_object_weight=-0.1), ["no_object_weight=-0.1", "negative"]),
        (dict(id2label={1: "a", 3: "b"}), [r"id2label has the indices \[1, 3\], but must have 0..1"]),
        (dict(id2label={"1": "a", "2": "b"}), [r"id2label has the indices \[1, 2\]"]),
        (dict(id2label={-1: "a", 0: "b"}), [r"id2label has the indices \[-1, 0\]"]),
    ],
)
def test_what_cannot_be_built_is_refused_by_name(fields, said):
    for config_class in CONFIGURATIONS:
        for words in said:
            with pytest.raises(StrictDataclassError, match=words):
                config_class(**fields)
            with pytest.raises(StrictDataclassError, match=words):
                config_class.from_dict(config_class().to_dict(), **fields)


@pytest.mark.parametrize(
    "fields, said",
    [
        (dict(num_attention_heads=512), "num_attention_heads=512 makes heads 2 wide.*multiple of 4"),
        (dict(rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 1.0}), "rope_type must be 'default'"),
        (dict(pos_embed_rescale=0.0), "pos_embed_rescale=0.0 must be positive"),
        (dict(pos_embed_jitter=-1.0), "pos_embed_jitter=-1.0 must be positive"),
    ],
)
def test_rotations_that_cannot_be_built_are_refused(fields, said):
    with pytest.raises(StrictDataclassError, match=said):
        EomtDinov3Config(**fields)
    with pytest.raises(StrictDataclassError, match=said):
        EomtDinov3Config.from_dict(EomtDinov3Config().to_dict(), **fields)


def test_a_field_may_mend_a_stored_one():
    stored = {**EomtConfig().to_dict(), "num_blocks": 30}
    assert EomtConfig.from_dict(stored, num_blocks=3).num_blocks == 3
    assert stored["num_blocks"] == 30


@pytest.mark.parametrize("keys", [(0, 1), ("0", "1")])
def test_classes_given_while_loading_are_stored_as_given(keys, tmp_path):
    EomtConfig(num_labels=3).save_pretrained(tmp_path)
    for config in (
        EomtConfig.from_pretrained(tmp_path, id2label=dict(zip(keys, ("sky", "car"), strict=True))),
        AutoConfig.from_pretrained(tmp_path, id2label=dict(zip(keys, ("sky", "car"), strict=True))),
    ):
        assert config.id2label == {0: "sky", 1: "car"} and config.label2id == {"sky": 0, "car": 1}
        config.save_pretrained(tmp_path / "again")
        assert EomtConfig.from_pretrained(tmp_path / "again").id2label == config.id2label
    config = EomtConfig.from_pretrained(tmp_path, id2label={0: "sky"}, label2id={"heaven": 0})
    assert config.label2id == {"heaven": 0}
    assert list(EomtConfig.from_pretrained(tmp_path, num_labels=4).label2id.values()) == [0, 1, 2, 3]
