"""Names of the values of labels."""

import json

import datasets
import pytest

from eomt.train_scripts.data.formats.label_names import LabelNames, names_of_feature, names_of_json, names_of_mapping

PETS = {0: "cat", 7: "dog"}


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ({"0": "cat", "7": "dog"}, LabelNames(PETS)),
        ({"cat": 0, "dog": 7}, LabelNames(PETS)),
        (["cat", "dog"], LabelNames({0: "cat", 1: "dog"})),
        ([{"id": 0, "name": "cat"}, {"id": 7, "name": "dog"}], LabelNames(PETS)),
        ([{"id": 0, "name": "cat", "isthing": 1}, {"id": 7, "name": "dog", "isthing": 0}], LabelNames(PETS, ["dog"])),
    ],
)
def test_forms_of_json(tmp_path, content, names):
    (tmp_path / "names.json").write_text(json.dumps(content))
    assert names_of_json(tmp_path / "names.json") == names


@pytest.mark.parametrize("text", ["{", '{"cat": "dog"}', "7", '[{"name": "cat"}]'])
def test_a_json_of_another_form(tmp_path, text):
    (tmp_path / "names.json").write_text(text)
    with pytest.raises(ValueError, match=r"id2label=.*names.json: no names can be read .* It must be like"):
        names_of_json(tmp_path / "names.json")


def test_names_of_features():
    pets = datasets.ClassLabel(names=["cat", "dog"])
    for feature in (pets, datasets.List(pets), datasets.List({"id": datasets.Value("int64"), "category_id": pets})):
        assert names_of_feature(feature) == {0: "cat", 1: "dog"}
    assert names_of_feature({"id": datasets.List(datasets.Value("int64")), "category_id": datasets.List(pets)})
    assert names_of_feature(datasets.Value("int64")) is None and names_of_feature({"a": pets, "b": pets}) is None
    assert names_of_mapping({"cat": 0, "dog": 7, "of another row": None}) == PETS
