"""ADE20K in its official form."""

import numpy as np
import pytest
from PIL import Image

from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.dataset_folder import read_labels
from eomt.train_scripts.data.formats import ade20k


@pytest.fixture
def rooms(photo, index_image, tmp_path):
    """A wall (1), two chairs (20) that touch, one of them annotated as an instance, and void."""
    photo(tmp_path / "images/training/ADE_train_00000001.jpg", (2, 4))
    index_image(tmp_path / "annotations/training/ADE_train_00000001.png", np.array([[1, 1, 20, 20], [1, 0, 20, 20]]))
    instances = np.zeros((2, 4, 3), np.uint8)
    instances[:, 3] = (ade20k.THINGS.index(20) + 1, 1, 0)
    (tmp_path / "annotations_instance/training").mkdir(parents=True)
    Image.fromarray(instances).save(tmp_path / "annotations_instance/training/ADE_train_00000001.png")
    return tmp_path


def test_semantic(rooms, prepared):
    [sample] = prepared("ade20k_semantic", rooms / "images/training", rooms / "annotations/training")
    labels = read_labels(rooms / "out")
    assert len(labels) == 150 and labels.names[0] == "wall" and labels.names[19] == "chair" and not any(labels.isthing)
    assert sample.class_labels.tolist() == [0, 19] and sample.id_map.tolist() == [[1, 1, 20, 20], [1, 0, 20, 20]]


def test_panoptic(rooms, prepared):
    [sample] = prepared("ade20k_panoptic", rooms / "images/training", rooms / "annotations/training")
    labels = read_labels(rooms / "out")
    assert sum(labels.isthing) == 100 and labels.isthing[19] and not labels.isthing[0]
    assert sample.class_labels.tolist() == [0, 19] and sample.id_map.tolist() == [[1, 1, 0, 151], [1, 0, 0, 151]]


def test_bad_files(rooms, index_image, prepared):
    folders = rooms / "images/training", rooms / "annotations/training"
    index_image(folders[1] / "ADE_train_00000001.png", np.full((2, 4), 151))
    with pytest.raises(BadSample, match=r"has the values \[151\]; allowed are 0..150"):
        prepared("ade20k_semantic", *folders)
    index_image(folders[1] / "ADE_train_00000002.png", np.full((2, 4), 1))
    with pytest.raises(BadSample, match="annotations/training/ADE_train_00000002.png has no photo of the same stem"):
        prepared("ade20k_semantic", *folders)
    (folders[1] / "ADE_train_00000002.png").rename(folders[1] / "ADE_train_00000001.png")
    index_image(rooms / "annotations_instance/training/ADE_train_00000001.png", np.zeros((2, 4)))
    with pytest.raises(BadSample, match="mode L; it must be RGB"):
        prepared("ade20k_panoptic", *folders)
    mixed = np.zeros((2, 4, 3), np.uint8)
    mixed[:, 3], mixed[:, 2] = (1, 1, 0), (2, 1, 0)
    Image.fromarray(mixed).save(rooms / "annotations_instance/training/ADE_train_00000001.png")
    with pytest.raises(BadSample, match=r"instance 1 has the classes \[1, 2\]"):
        prepared("ade20k_panoptic", *folders)


def test_facts():
    assert len(ade20k.CLASSES) == len(set(ade20k.CLASSES)) == 150 and len(ade20k.THINGS) == 100
    assert [ade20k.CLASSES[value - 1] for value in (ade20k.THINGS[0], ade20k.THINGS[4], ade20k.THINGS[-1])] == [
        "bed",
        "door",
        "flag",
    ]
