"""Configuration files: our own round trip, and those of transformers 4.x and 5.x."""

import json
import sys

import numpy as np
import pytest
import transformers
from transformers import AutoImageProcessor, ImagesKwargs
from transformers.utils import logging

from eomt import EomtImageProcessor, EomtImageProcessorPil

# as saved by transformers 4.57's EomtImageProcessorFast for a semantic model
SAVED_BY_4 = {
    "crop_size": None,
    "data_format": "channels_first",
    "default_to_square": False,
    "device": None,
    "disable_grouping": None,
    "do_center_crop": None,
    "do_convert_rgb": None,
    "do_normalize": True,
    "do_pad": False,
    "do_rescale": True,
    "do_resize": True,
    "do_split_image": True,
    "ignore_index": None,
    "image_mean": [0.485, 0.456, 0.406],
    "image_processor_type": "EomtImageProcessorFast",
    "image_std": [0.229, 0.224, 0.225],
    "input_data_format": None,
    "pad_size": None,
    "resample": 2,
    "rescale_factor": 0.00392156862745098,
    "return_tensors": None,
    "size": {"longest_edge": None, "shortest_edge": 64},
}


def write(folder, config: dict) -> str:
    (folder / "preprocessor_config.json").write_text(json.dumps(config))
    return str(folder)


@pytest.fixture
def warnings_of(monkeypatch):
    """The messages of transformers' logger for this package, which doesn't propagate to pytest's own capture."""
    messages = []
    monkeypatch.setattr(logging.get_logger("eomt.image_processing.processor"), "warning", messages.append)
    return messages


def test_round_trip(processor_class, tmp_path, warnings_of):
    processor = processor_class(
        size={"shortest_edge": 96}, do_split_image=True, ignore_index=255, do_reduce_labels=False, stuff_classes={7, 3}
    )
    processor.save_pretrained(tmp_path)
    loaded = processor_class.from_pretrained(tmp_path)
    assert loaded.to_dict() == processor.to_dict()
    assert loaded.stuff_classes == [3, 7] and loaded.do_reduce_labels is False and not warnings_of


def test_keyword_class_in_the_processors_module(processor_class):
    keywords = sys.modules[processor_class.__module__].EomtImageProcessorKwargs
    assert processor_class.valid_kwargs is keywords
    extra = keywords.__annotations__.keys() - ImagesKwargs.__annotations__.keys()
    assert extra == {"do_split_image", "ignore_index", "do_reduce_labels", "stuff_classes"}
    assert extra <= set(dir(processor_class))


def test_always_writes_both_label_settings(processor_class, tmp_path):
    processor_class().save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert saved["ignore_index"] is None and saved["do_reduce_labels"] is False
    assert saved["image_processor_type"] == "EomtImageProcessor"


def test_reads_version_4(processor_class, tmp_path):
    processor = processor_class.from_pretrained(write(tmp_path, SAVED_BY_4))
    assert processor(np.zeros((40, 100, 3), np.uint8), return_tensors="pt")["pixel_values"].shape == (3, 3, 64, 64)
    assert processor.do_reduce_labels is False and processor.do_convert_rgb


@pytest.mark.parametrize("load", ["from_pretrained", "from_json_file"])
def test_stock_ignore_index_means_reducing(processor_class, load, tmp_path, warnings_of):
    folder = write(tmp_path, {**SAVED_BY_4, "ignore_index": 255})
    path = folder if load == "from_pretrained" else f"{folder}/preprocessor_config.json"
    processor = getattr(processor_class, load)(path)
    assert processor.do_reduce_labels is True and processor.ignore_index == 255
    assert len(warnings_of) == 1 and "ignore_index=255" in warnings_of[0]
    processor.save_pretrained(tmp_path)
    assert processor_class.from_pretrained(tmp_path).do_reduce_labels is True
    assert len(warnings_of) == 1, "saving settles it"


def test_reducing_can_be_declined(processor_class, tmp_path, warnings_of):
    folder = write(tmp_path, {**SAVED_BY_4, "ignore_index": 255})
    assert processor_class.from_pretrained(folder, do_reduce_labels=False).do_reduce_labels is False
    assert not warnings_of
    assert processor_class(ignore_index=255).do_reduce_labels is False


def test_reads_stock_and_stock_reads_ours(tmp_path):
    transformers.EomtImageProcessor(size={"shortest_edge": 96}, do_split_image=True).save_pretrained(tmp_path)
    ours = EomtImageProcessor.from_pretrained(tmp_path)
    assert ours.size == {"shortest_edge": 96} and ours.do_pad is False
    EomtImageProcessor(stuff_classes=[1]).save_pretrained(tmp_path)
    assert transformers.EomtImageProcessor.from_pretrained(tmp_path).do_pad is True


def test_auto_class_gives_ours(tmp_path):
    assert type(AutoImageProcessor.from_pretrained(write(tmp_path, SAVED_BY_4))) is EomtImageProcessor
    assert type(AutoImageProcessor.from_pretrained(tmp_path, backend="pil")) is EomtImageProcessorPil
