import json

import pytest
from huggingface_hub.errors import StrictDataclassError
from transformers.models.eomt import EomtConfig as StockConfig

from eomt import EomtConfig


def test_fields_and_defaults_are_those_of_transformers():
    assert EomtConfig().to_dict() == StockConfig().to_dict()
    assert EomtConfig().model_type == StockConfig().model_type == "eomt"


def test_a_saved_configuration_means_the_same_to_both(tmp_path):
    fields = dict(hidden_size=128, num_attention_heads=2, use_swiglu_ffn=True, num_queries=7, id2label={0: "sky", 1: "car"})
    for writer, reader in ((EomtConfig, StockConfig), (StockConfig, EomtConfig)):
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
        (dict(image_size=650), ["image_size=650", "650", "16", "use 656"]),
        (dict(image_size=(64, 100)), ["width 100", "use 96"]),
        (dict(image_size=(64, 64, 64)), ["image_size", "length 2"]),
        (dict(image_size=0), ["image_size=0", "positive"]),
        (dict(num_attention_heads=7), ["hidden_size=1024", "num_attention_heads=7"]),
        (dict(num_blocks=25), ["num_blocks=25", r"1\.\.num_hidden_layers=24"]),
        (dict(num_blocks=0), ["num_blocks=0"]),
        (dict(dice_weight=-1.0), ["dice_weight=-1.0", "negative"]),
        (dict(id2label={1: "a", 3: "b"}), [r"id2label has the indices \[1, 3\], but must have 0..1"]),
        (dict(id2label={"1": "a", "2": "b"}), [r"id2label has the indices \[1, 2\]"]),
        (dict(id2label={-1: "a", 0: "b"}), [r"id2label has the indices \[-1, 0\]"]),
    ],
)
def test_what_cannot_be_built_is_refused_by_name(fields, said):
    for words in said:
        with pytest.raises(StrictDataclassError, match=words):
            EomtConfig(**fields)
