"""Category ids by class name: of which files, and what is wrong with others, told before a model is loaded."""

import json

import pytest

from eomt.train_scripts.evaluation.category_ids import Category, categories_of, read_categories
from eomt.train_scripts.predict import predict

ENTRIES = [{"id": 7, "name": "sky", "isthing": 0}, {"id": 3, "name": "bee", "isthing": 1}, {"id": 9, "name": "wasp"}]


@pytest.mark.parametrize("content", [ENTRIES, {"categories": ENTRIES}], ids=["list", "of COCO"])
def test_ids_go_by_name(tmp_path, content):
    path = tmp_path / "categories.json"
    path.write_text(json.dumps(content))
    categories = read_categories(path)
    assert categories == {"sky": Category(7, False), "bee": Category(3, True), "wasp": Category(9, True)}
    assert categories_of(["bee", "sky"], categories, path) == ([3, 7], [True, False])
    with pytest.raises(ValueError, match=r"^categories=.*json lacks the model's classes \['ant'\]"):
        categories_of(["ant", "bee"], categories, path)


def test_without_a_file_ids_are_class_indices():
    assert read_categories(None) is None and categories_of(["bee", "sky"], None, None) == ([0, 1], [True, True])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file"),
        ("{", "is not JSON"),
        ("3", "has no list of categories"),
        ('{"images": []}', "has no list of categories"),
        ('{"categories": {"sky": 1}}', "has no list of categories"),
        ('["sky"]', "entry 0 is sky, without an `id` or a `name`"),
        ('[{"id": 1, "name": "sky"}, {"name": "bee"}]', "entry 1 is {'name': 'bee'}, without"),
        ('[{"id": null, "name": "sky"}]', "entry 0 is .* without"),
        ('{"categories": [{"id": 1, "name": null}]}', "entry 0 is .* without"),
    ],
)
def test_what_is_wrong_is_told_before_a_model_is_loaded(tmp_path, text, message):
    path = tmp_path / "categories.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=f"^categories={path}:? {message}"):
        predict("org/gone", tmp_path, "panoptic", tmp_path / "out", categories=path)
