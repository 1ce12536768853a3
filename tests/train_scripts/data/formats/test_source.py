"""Classes by the options."""

import pytest

from eomt.train_scripts.data.dataset_folder import Labels, read_labels
from eomt.train_scripts.data.formats.source import Options, thing_labels


def test_classes_are_things_but_for_stuff():
    assert thing_labels(["cat", "sky", "dog"], ["sky"]) == Labels(["cat", "sky", "dog"], [True, False, True])
    with pytest.raises(ValueError, match=r"stuff=\['cow'\] names \['cow'\], which are no classes; those are \['cat', 'dog'\]"):
        thing_labels(["cat", "dog"], ["cow"])
    for names in ([], ["cat", "cat"]):
        with pytest.raises(ValueError, match="must be one or more names, each once"):
            thing_labels(names, [])


def test_stuff_of_a_format(photo, prepared, tmp_path):
    photo(tmp_path / "images" / "pets.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "pets.txt").write_text("0 .1 .1 .5 .1 .5 .5")
    (tmp_path / "data.yaml").write_text("names: [cat, dog]")
    prepared("yolo", tmp_path / "images", tmp_path / "labels", Options(stuff=["dog"]))
    assert read_labels(tmp_path / "out").isthing == [True, False]
