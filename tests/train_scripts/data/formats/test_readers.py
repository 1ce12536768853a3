"""The table of formats: each has a reader, and options that mean nothing to it are refused."""

from dataclasses import fields

import pytest

from eomt.train_scripts.data.choices import FORMATS
from eomt.train_scripts.data.formats.readers import OPTIONS, READERS
from eomt.train_scripts.data.formats.source import Options


def test_the_option_names_the_readers():
    assert list(FORMATS) == list(READERS)


def test_options_are_of_formats_and_fields_that_exist():
    assert OPTIONS.keys() <= READERS.keys()
    assert set().union(*OPTIONS.values()) == {option.name for option in fields(Options)}


def test_options_of_other_formats_are_refused(photo, prepared, tmp_path):
    photo(tmp_path / "images" / "pets.png")
    with pytest.raises(ValueError, match="class_key, kind mean nothing for the format coco_instances"):
        prepared("coco_instances", tmp_path / "images", tmp_path / "pets.json", Options(class_key="a", kind="semantic"))
