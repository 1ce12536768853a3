"""What the values of labels stand for."""

import numpy as np
import pytest

from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.dataset_folder import Labels
from eomt.train_scripts.data.formats.class_values import class_values


def test_values_become_indices_and_void_is_no_class():
    classes = class_values({0: "other", 5: "car", 2: "sky"}, [0, 255], ["sky"])
    assert classes.labels == Labels(["sky", "car"], [False, True])
    assert classes.indices(np.array([[0, 2, 5, 255]]), "here").tolist() == [[-1, 0, 1, -1]]
    assert class_values({0: "car"}, [], None).labels.isthing == [False]


def test_unknown_values():
    classes = class_values({0: "sky", 1: "car", 7: "road"}, [255], None)
    with pytest.raises(BadSample, match=r"here has the values \[3\]; known are the classes 0..1, 7 and void 255. Add them"):
        classes.indices(np.array([[3, 0]]), "here")
    with pytest.raises(ValueError, match=r"stuff=\['sea'\] names \['sea'\], which are no classes"):
        class_values({0: "sky"}, [], ["sea"])
