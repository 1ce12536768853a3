"""Masks of classes with masks of instances."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from eomt.train_scripts.data.bad_sample import BadSample
from eomt.train_scripts.data.dataset_folder import read_labels
from eomt.train_scripts.data.formats.detection import find_splits
from eomt.train_scripts.data.formats.source import Options
from eomt.train_scripts.data.formats.split import Split
from eomt.train_scripts.prepare import main

OPTIONS = Options(classes=["sky", "car"], stuff=["sky"], void=[255])


@pytest.fixture
def pair(tmp_path, photo, index_image):
    """One photo with two touching cars below the sky."""
    photo(tmp_path / "images" / "a.jpg", (2, 4))
    index_image(tmp_path / "masks" / "a.png", np.array([[0, 0, 0, 255], [1, 1, 1, 1]]))
    index_image(tmp_path / "instances" / "a.png", np.array([[0, 0, 0, 0], [8, 8, 5, 5]]))
    return tmp_path


def test_two_masks_are_panoptic(pair, prepared):
    [sample] = prepared("panoptic_masks", pair / "images", pair / "masks", OPTIONS)
    assert read_labels(pair / "out").isthing == [False, True]
    assert sample.class_labels.tolist() == [0, 1, 1] and sample.id_map.tolist() == [[1, 1, 1, 0], [3, 3, 2, 2]]


def test_instances_in_rgb_and_in_another_folder(pair, capsys):
    (pair / "numbers").mkdir()
    colours = np.zeros((2, 4, 3), np.uint8)
    colours[1, :, 2] = [1, 1, 1, 2]
    Image.fromarray(colours).save(pair / "numbers" / "a.png")
    words = f"--images {pair}/images --annotations {pair}/masks --instances {pair}/numbers --out {pair}/out"
    main([*words.split(), "--classes", "sky,car", "--stuff", "sky", "--void", "255"])
    assert "train: 1 images, 3 segments" in capsys.readouterr().out


def test_the_layout_is_detected(pair):
    assert find_splits(pair) == [Split("train", "panoptic_masks", pair / "images", pair / "masks")]
    assert find_splits(pair, "masks") == [Split("train", "masks", pair / "images", pair / "masks")]


def test_files_without_partners(pair, prepared, photo, index_image):
    photo(pair / "images" / "b.jpg", (2, 4))
    index_image(pair / "masks" / "b.png", np.zeros((2, 4)))
    index_image(pair / "instances" / "c.png", np.zeros((2, 4)))
    with pytest.raises(BadSample, match=r"masks/b.png has no mask of the same stem in .*instances. Add it.* And 1 more"):
        prepared("panoptic_masks", pair / "images", pair / "masks", OPTIONS)
    with pytest.raises(ValueError, match="instances=nowhere: no such folder"):
        prepared("panoptic_masks", pair / "images", pair / "masks", Options(classes=["sky"], instances="nowhere"))


def test_both_masks_of_a_photo_that_exif_turns(pair, photo, prepared):
    exif = Image.Exif()
    exif[0x0112] = 3
    photo(pair / "images" / "a.jpg", (2, 4), exif=exif)
    with pytest.raises(ValueError, match="1 photos, .*/a.jpg, are turned .* give --mask_orientation upright or --mask_orientation"):
        prepared("panoptic_masks", pair / "images", pair / "masks", OPTIONS)
    [sample] = prepared("panoptic_masks", pair / "images", pair / "masks", replace(OPTIONS, mask_orientation="raw"))
    assert sample.id_map.tolist() == [[2, 2, 3, 3], [0, 1, 1, 1]]
