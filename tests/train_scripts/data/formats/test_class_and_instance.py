"""Maps of classes and of instances as segments."""

import io

import numpy as np
import pytest
from PIL import Image

from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.formats.class_and_instance import segment_columns
from eomt.train_scripts.data.formats.class_values import class_values

CLASSES = class_values({0: "sky", 1: "car", 2: "dog"}, [255], ["sky"])


def segments(values, instances, background=None):
    """{id: class}, and the map of ids."""
    columns = segment_columns(np.array(values), np.array(instances), CLASSES, "here", background)
    ids = np.asarray(Image.open(io.BytesIO(columns["id_map"]["bytes"])))
    return {entry["id"]: entry["category"] for entry in columns["segments"]}, ids.tolist()


def test_the_class_decides_and_the_number_separates():
    table, ids = segments([[0, 1, 1, 2, 2, 255]], [[9, 1, 70000, 1, 0, 3]])  # stuff needs no number, void takes none
    assert table == {1: 0, 2: 1, 3: 1, 4: 2}
    assert ids == [[1, 2, 3, 4, 0, 0]]  # the dog without a number is void
    assert segments([[255, 255]], [[0, 1]]) == ({}, [[0, 0]])


def test_things_that_are_not_numbered():
    with pytest.raises(BadSample, match=r"here: \['car'\] have no instance, though they are things. Give them by stuff"):
        segments([[1, 2]], [[0, 1]])
    assert segments([[1, 2]], [[0, 1]], background=1) == ({1: 2}, [[0, 1]])
    with pytest.raises(BadSample, match=r"map of classes is \(1, 2\), that of instances \(1, 1\). Give them one size"):
        segments([[1, 2]], [[0]])
